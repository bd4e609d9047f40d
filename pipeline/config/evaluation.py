"""What is measured, and with which features."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.config.guidance import GuidanceConfig
from pipeline.config.section import (
    ModelName,
    PathText,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    Tolerance,
)
from pipeline.config.solver import GridName, NumSteps, SolverConfig

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
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None


class Dinov2Config(Section):
    """The published DINOv2 ViT-L/14.

    Attributes:
        weights: Id on the Hugging Face hub, or a folder on this machine; its ``model.safetensors`` is read.
        revision: Commit on the hub; null for a folder.
        sha256: Whole SHA-256 that ``model.safetensors`` must have; null to take it as the pinned revision has it.
    """

    weights: PathText
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None

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


class FeaturesConfig(Section):
    """What FID is computed on.

    Attributes:
        name: The network by whose features everything is measured, and anything may be chosen: ``classifier`` (trained
            here on the labels of the training split), ``rotation`` (trained here without labels), ``auto`` for the
            first of these where the images are of two classes or more, else for the second; ``inception`` (clean-fid's
            network), ``dinov2``; ``points`` for points, which are compared as they are.
        reference: Split whose images are the reference.
        classifier: Settings of the classifier.
        rotation: Settings of the network that predicts rotations.
        inception: Settings of Inception, as features or judge.
        dinov2: Settings of DINOv2, as features or judge.
        judge: A second network; null for none.
        batch_size: Images per feature pass.
    """

    name: ImageFeatures | Literal["points"]
    reference: Literal["train", "heldout"]
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


def classes_needed_by(config: FeaturesConfig) -> str | None:
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


class SweepSolverConfig(Section):
    """A solver that models are measured with; in YAML its bare name is enough.

    Attributes:
        name: Solver; see :class:`pipeline.config.solver.SolverConfig` for it, the next three and ``guidance``.
        grid: Times of the fixed steps.
        rtol: Relative tolerance of ``dopri5``.
        atol: Absolute tolerance of ``dopri5``.
        num_steps: Step counts; null takes ``evaluate.num_steps``.
        guidance: Of the teacher; null for none.
    """

    name: str
    grid: GridName | tuple[float, ...] = "uniform"
    rtol: Tolerance | None = None
    atol: Tolerance | None = None
    num_steps: Annotated[tuple[NumSteps, ...], Field(min_length=1)] | None = None
    guidance: GuidanceConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _solvers_are_valid(self) -> SweepSolverConfig:
        if self.num_steps is not None and (self.name == "dopri5" or isinstance(self.grid, tuple)):
            raise ValueError(f"solver {self.name} takes its steps from its tolerances or its grid; leave out num_steps")
        self.solvers((1,))
        return self

    def solvers(self, num_steps: tuple[int, ...]) -> tuple[SolverConfig, ...]:
        """One solver per step count, by default those of ``num_steps``; a single one if adaptive or on a given grid."""
        counts: tuple[int | None, ...] = self.num_steps or num_steps
        if self.name == "dopri5":
            counts = (None,)
        elif isinstance(self.grid, tuple):
            counts = (len(self.grid) - 1,)
        common = {name: getattr(self, name) for name in ("name", "grid", "rtol", "atol", "guidance")}
        return tuple(SolverConfig.model_validate({**common, "num_steps": count}) for count in counts)


class NeighboursConfig(Section):
    """Precision, recall, density, coverage and distances to training images.

    Attributes:
        num_samples: Generated and reference images to compare, as many of each; at most what there is.
        k: The ball around an image reaches to its k-th nearest neighbour.
    """

    num_samples: PositiveInt
    k: PositiveInt

    @model_validator(mode="after")
    def _enough_for_k(self) -> NeighboursConfig:
        if self.num_samples <= self.k:
            raise ValueError(f"neighbours.num_samples ({self.num_samples}) must be more than k ({self.k})")
        return self


class KernelDistanceConfig(Section):
    """KID, from all pairs of features.

    Attributes:
        num_samples: Generated and reference images to compare, as many of each; at most what there is. Its standard
            error falls with it.
    """

    num_samples: Annotated[int, Field(ge=3)]


class StraightnessConfig(Section):
    """How straightness is integrated: trajectories and Euler steps along them."""

    num_samples: PositiveInt
    num_steps: NumSteps


class HeadlineCellsConfig(Section):
    """The cells that the headline compares, measured on more samples than others.

    These are the headline's student, and the source of its couplings by the solver that made them. They are measured in
    two ways: as the mean over chunks of ``evaluate.num_samples``, to compare with other cells, and all at once.

    Attributes:
        num_steps: Step counts of the student.
        num_samples: Generated images, a multiple of ``evaluate.num_samples``.
    """

    num_steps: Annotated[tuple[NumSteps, ...], Field(min_length=1)]
    num_samples: PositiveInt


class EvaluateConfig(Section):
    """The few-step sweep.

    Attributes:
        models: Models measured, in the order of tables and figures.
        num_steps: Step counts.
        num_samples: Generated images per cell.
        headline: The cells that are measured on more.
        seed: Sample i's noise is a function of it and i; every cell shares the noise.
        batch_size: Images per network call, per process.
        teacher_solvers: Solvers the teacher is measured with.
        student_solvers: Solvers the students are measured with.
        neighbours: Settings of measures by nearest neighbours.
        kernel_distance: Settings of KID.
        straightness: Settings of the straightness integral.
        grid_images: Noises shown in the sample grids.
    """

    models: tuple[ModelName, ...]
    num_steps: tuple[NumSteps, ...]
    num_samples: PositiveInt
    headline: HeadlineCellsConfig
    seed: Seed
    batch_size: PositiveInt
    teacher_solvers: tuple[SweepSolverConfig, ...]
    student_solvers: tuple[SweepSolverConfig, ...]
    neighbours: NeighboursConfig
    kernel_distance: KernelDistanceConfig
    straightness: StraightnessConfig
    grid_images: PositiveInt

    @model_validator(mode="after")
    def _samples_suffice(self) -> EvaluateConfig:
        if self.grid_images > self.num_samples:
            raise ValueError(f"grid_images is {self.grid_images}, more than num_samples ({self.num_samples})")
        if self.headline.num_samples % self.num_samples:
            raise ValueError(
                f"headline.num_samples is {self.headline.num_samples}, no multiple of num_samples ({self.num_samples})"
            )
        return self

    def solvers(self, *, teacher: bool) -> tuple[SolverConfig, ...]:
        """Every cell's solver, for the teacher or for a student."""
        chosen = self.teacher_solvers if teacher else self.student_solvers
        return tuple(solver for item in chosen for solver in item.solvers(self.num_steps))
