"""By which features samples are compared: networks that are trained here, or published ones, and a judge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import PathText, PositiveFloat, PositiveInt, Section, Seed, Sha256

NUM_INCEPTION_FEATURES = 2048
NUM_DINOV2_FEATURES = 1024

ImageFeatures = Literal["auto", "classifier", "rotation", "inception", "dinov2"]


class TrainedFeaturesConfig(Section):
    """A small network that is trained here on the training split, for its features.

    Attributes:
        num_steps: Training steps.
        batch_size: Images per step; where rotations are predicted, a quarter of them in all four.
        learning_rate: Peak learning rate of AdamW, decayed linearly to 0.
        num_features: Width of the feature layer.
        min_accuracy: Held-out accuracy below which training fails; chance is 0.25 for rotations.
        seed: Seed of weights and batches.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    num_features: PositiveInt
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    seed: Seed


class InceptionConfig(Section):
    """The published Inception network.

    Attributes:
        mode: How clean-fid resizes and which weights it takes; ``clean`` is its own recommendation.
        weights: File of weights on this machine; null fetches the published ones once.
        sha256: Whole SHA-256 that the file must have; null for that of the published file. A TorchScript file is code,
            so none is opened that has neither.
    """

    mode: Literal["clean", "legacy_tensorflow", "legacy_pytorch"]
    weights: PathText | None
    sha256: Sha256 | None


class Dinov2Config(Section):
    """The published DINOv2 ViT-L/14.

    Attributes:
        weights: Id on the Hugging Face hub, or a folder on this machine; its ``model.safetensors`` is read.
        revision: Commit on the hub; null for a folder.
        sha256: Whole SHA-256 that ``model.safetensors`` must have; null to take it as the pinned revision has it.
    """

    weights: PathText
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None
    sha256: Sha256 | None

    @model_validator(mode="after")
    def _is_pinned(self) -> Dinov2Config:
        if self.revision is None and self.sha256 is None:
            raise ValueError("give revision, the whole commit on the hub, or sha256 of model.safetensors, or both")
        return self


class JudgeConfig(Section):
    """A second network that everything is measured with, and that nothing is chosen or trained by.

    Attributes:
        name: As of the first features; a published network cannot judge itself.
        classifier: Settings of the classifier; needed where ``name`` is ``auto`` or ``classifier``.
        rotation: Settings of the network that predicts rotations; needed where ``name`` is ``auto`` or ``rotation``.
    """

    name: ImageFeatures
    classifier: TrainedFeaturesConfig | None = None
    rotation: TrainedFeaturesConfig | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> JudgeConfig:
        for task in trained_tasks(self.name):
            if getattr(self, task) is None:
                raise ValueError(f"name {self.name} needs features.judge.{task}, the settings of its training")
        return self


class ReferenceFileConfig(Section):
    """Mean and covariance of the features of real images, as others published them, in place of the images.

    Attributes:
        file: An ``.npz`` with ``mu``, (2048,), and ``sigma``, (2048, 2048), as pytorch-fid, clean-fid and ADM write it.
            How many images they are of it does not say.
        sha256: Its whole SHA-256.
    """

    file: PathText
    sha256: Sha256


class FeaturesConfig(Section):
    """What FID is computed on.

    Attributes:
        name: The network by whose features everything is measured, and anything may be chosen: ``classifier`` (trained
            here on the labels of the training split), ``rotation`` (trained here without labels), ``auto`` for the
            first of these where the images are of two classes or more, else for the second; ``inception`` (clean-fid's
            network), ``dinov2``; ``points`` for points, which are compared as they are.
        reference: Split whose images are the reference: ``train`` or ``heldout``; or a file of statistics, by the
            network and the mode that it was made with. Then FID needs no data, and metrics that compare with single
            images are left out.
        classifier: Settings of the classifier.
        rotation: Settings of the network that predicts rotations.
        inception: Settings of Inception, as features or judge.
        dinov2: Settings of DINOv2, as features or judge.
        judge: A second network; null for none.
        batch_size: Images per feature pass.
    """

    name: ImageFeatures | Literal["points"]
    reference: Literal["train", "heldout"] | ReferenceFileConfig
    classifier: TrainedFeaturesConfig
    rotation: TrainedFeaturesConfig
    inception: InceptionConfig
    dinov2: Dinov2Config
    judge: JudgeConfig | None
    batch_size: PositiveInt

    @model_validator(mode="after")
    def _judge_is_another(self) -> FeaturesConfig:
        if self.judge is None:
            return self
        if self.name == "points":
            raise ValueError("judge is a network of images; set it to null for points")
        if self.name == self.judge.name and self.name in ("inception", "dinov2"):
            raise ValueError(f"judge.name is {self.name}, as the features that it is to judge; name another")
        for task in {*trained_tasks(self.name)} & {*trained_tasks(self.judge.name)}:
            if getattr(self, task).seed == getattr(self.judge, task).seed:
                raise ValueError(f"{task}.seed and judge.{task}.seed are equal; give the judge a seed of its own")
        return self

    @model_validator(mode="after")
    def _file_is_of_these_features(self) -> FeaturesConfig:
        if self.reference_file is None:
            return self
        if self.name != "inception":
            raise ValueError(
                f"reference names a file of inception's statistics, which features of {self.name} do not compare with; "
                "set name: inception, with the mode that the file was made with, or reference: train"
            )
        if self.judge is not None:
            raise ValueError("reference names a file, which has no statistics by the judge; set judge: null")
        return self

    @property
    def reference_file(self) -> ReferenceFileConfig | None:
        """The file of statistics that stands in for images; None where these are the reference."""
        return self.reference if isinstance(self.reference, ReferenceFileConfig) else None

    @property
    def reference_split(self) -> Literal["train", "heldout"] | None:
        """The split whose images are the reference; None where a file is."""
        return None if isinstance(self.reference, ReferenceFileConfig) else self.reference

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the features, and of the judge if there is one."""
        return (self.name,) if self.judge is None else (self.name, self.judge.name)

    @property
    def num_features(self) -> int | None:
        """Largest length of the vectors of features, the judge's too; None where samples are compared as they are."""
        if self.num_first_features is None or self.judge is None:
            return self.num_first_features
        return max(self.num_first_features, _width(self.judge))

    @property
    def num_first_features(self) -> int | None:
        """The same without the judge."""
        return None if self.name == "points" else _width(self)


def classes_needed_by_features(config: FeaturesConfig) -> str | None:
    """The setting for which images must be of two classes or more; None if there is none."""
    keys = ("features.name", "features.judge.name")
    return next(
        (f"{key}: classifier" for key, name in zip(keys, config.names, strict=False) if name == "classifier"), None
    )


def trained_tasks(name: str) -> tuple[Literal["classifier", "rotation"], ...]:
    """What a network may be trained to predict for the features of this name; none where it is published."""
    tasks: tuple[Literal["classifier", "rotation"], ...] = ("classifier", "rotation")
    return tasks if name == "auto" else tuple(task for task in tasks if task == name)


def _width(item: FeaturesConfig | JudgeConfig) -> int:
    """Number of features; the larger one where that depends on the data."""
    published = {"inception": NUM_INCEPTION_FEATURES, "dinov2": NUM_DINOV2_FEATURES}
    if item.name in published:
        return published[item.name]
    widths: list[int] = [getattr(item, task).num_features for task in trained_tasks(item.name)]
    return max(widths)


def reference_problem(size: int, num_features: int) -> str | None:
    """Why ``size`` images are too few as a reference for features of ``num_features`` dimensions; None if not."""
    if size >= num_features:
        return None
    return (
        f"features.reference must have at least as many images as features ({num_features}), or its covariance has no "
        f"full rank, found {size}; give more images, the other split, or features of fewer dimensions"
    )
