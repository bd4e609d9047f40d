"""How couplings are drawn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.class_draw import ClassDraw
from pipeline.config.section import ModelName, NonNegativeFloat, PositiveInt, Section, Seed
from pipeline.config.solver import SolverConfig, states_problem


class ImageToNoiseConfig(Section):
    """Pairs made backwards: real images inverted to noise along the source's ODE.

    Attributes:
        share: Share of the store's pairs; must amount to whole shards.
        solver: How the ODE is solved.
    """

    share: Annotated[float, Field(gt=0, le=1)]
    solver: SolverConfig


class CouplingsConfig(Section):
    """Pairs of noise and sample along the ODE of one model.

    Attributes:
        source: Model whose ODE maps noise to images: ``teacher``, a flow or a student.
        num_pairs: Pairs in the store.
        solver: How the ODE is solved.
        batch_size: Images per network call, per process.
        shard_pairs: Pairs per shard file.
        dtype: Stored type of images.
        seed: Store seed; pair i's noise is a function of it and i alone.
        drop_farthest_share: Share of pairs to leave out, those with the largest ‖x_1 - x_0‖.
        image_to_noise: Pairs made from real images; null for none.
        states: Whether the states that the solver goes through are kept with every pair, for methods that learn them.
            They take 2 (num_steps - 1) C·H·W bytes a pair.
        classes: How the classes of pairs are drawn from a class-conditional source: ``uniform``, or as often as in the
            ``data`` that it was trained on here, which the manifest then says. The class for none is never drawn.
    """

    source: ModelName
    num_pairs: PositiveInt
    solver: SolverConfig
    batch_size: PositiveInt
    shard_pairs: PositiveInt
    dtype: Literal["uint8", "float16", "float32"]
    seed: Seed
    drop_farthest_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    image_to_noise: ImageToNoiseConfig | None = None
    # Not part of what a store without states is named by, so that its shards are found again.
    states: Annotated[bool, Field(exclude_if=lambda states: not states)] = False
    classes: Annotated[ClassDraw, Field(exclude_if=lambda classes: classes == "uniform")] = "uniform"

    @property
    def num_inverted_pairs(self) -> int:
        """Pairs made from real images, the last ones of the store."""
        return 0 if self.image_to_noise is None else round(self.num_pairs * self.image_to_noise.share)

    @property
    def num_kept_pairs(self) -> int:
        """Pairs that the filter leaves."""
        return self.num_pairs - num_dropped_pairs(self.num_pairs, self.drop_farthest_share)

    @model_validator(mode="after")
    def _pairs_are_left(self) -> CouplingsConfig:
        if self.num_kept_pairs < 2:
            raise ValueError(
                f"at least two pairs must be left, {self.num_kept_pairs} of num_pairs {self.num_pairs} are"
            )
        if self.image_to_noise is not None and self.num_inverted_pairs == 0:
            raise ValueError(f"image_to_noise.share comes to none of {self.num_pairs} pairs; raise it, or give null")
        return self

    @model_validator(mode="after")
    def _states_have_common_times(self) -> CouplingsConfig:
        problems = [states_problem(self.solver)] if self.states else []
        if self.states and self.image_to_noise is not None:
            problems.append("pairs made from images have none of that direction; set image_to_noise: null")
        found = "; ".join(filter(None, problems))
        if found:
            raise ValueError(f"states: true keeps the states from noise to image at times of all pairs, but {found}")
        return self

    @model_validator(mode="after")
    def _inverted_pairs_fill_shards(self) -> CouplingsConfig:
        if self.image_to_noise and (self.num_pairs - self.num_inverted_pairs) % self.shard_pairs:
            raise ValueError(
                f"image_to_noise.share comes to {self.num_inverted_pairs} of {self.num_pairs} pairs, and the others do "
                f"not fill whole shards of {self.shard_pairs}; change shard_pairs or the share"
            )
        return self


def num_dropped_pairs(num_pairs: int, dropped_share: float) -> int:
    """How many pairs a filter of ``dropped_share`` leaves out."""
    return int(num_pairs * dropped_share)


def start_problem(start_classes: int | None, coupling_classes: int | None) -> str | None:
    """Why a model conditioned on ``start_classes`` cannot learn couplings of ``coupling_classes``; None if it can.

    None of classes is an unconditional model, or couplings of one.
    """
    if start_classes == coupling_classes:
        return None
    return (
        f"a student conditioned on {_in_words(start_classes)} cannot learn couplings with {_in_words(coupling_classes)}"
        "; let it start from the model that they come from, or from a student of that model"
    )


def storage_problem(dtype: str) -> str | None:
    """Why latents cannot be stored as ``dtype``; None if they can. They have no bounds, which 8 bits need."""
    if dtype != "uint8":
        return None
    return "dtype uint8 is for images in [-1, 1], and latents have no bounds; write dtype: float16"


def inversion_problem(source_classes: int | None, num_labels: int) -> str | None:
    """Why images whose labels need ``num_labels`` classes cannot be inverted by their source; None if they can.

    Args:
        source_classes: Classes that the source is conditioned on; None for an unconditional one, which needs no labels.
        num_labels: The largest label and one; 0 without labels.
    """
    if source_classes is None or 0 < num_labels <= source_classes:
        return None
    found = f"the label {num_labels - 1}" if num_labels else "no labels"
    return (
        f"it needs images labelled with its {source_classes} classes, from 0, and the data has {found}; set "
        "data.label_column, or image_to_noise: null"
    )


def class_draw_problem(source_classes: int | None, num_labels: int) -> str | None:
    """Why classes cannot be drawn as in data whose labels need ``num_labels`` classes; None if they can.

    Arguments as for :func:`inversion_problem`.
    """
    if source_classes is not None and source_classes == num_labels:
        return None
    return (
        f"its source is conditioned on {_in_words(source_classes)} and the data has labels of "
        f"{num_labels or 'no'}; set classes: uniform"
    )


def _in_words(num_classes: int | None) -> str:
    return "no classes" if num_classes is None else f"{num_classes} classes"


class GateConfig(Section):
    """Limits that a store of couplings must meet.

    Attributes:
        max_clipped_fraction: Largest share, in any shard, of image entries that were clearly outside [-1, 1].
        max_reintegration_error: Largest mean, in any shard, of ‖x̂_1 - x_1‖/‖x_1‖, where x̂_1 is the source's image of
            the same noise, solved again. In shards made from images the same error of the noise.
        reintegrated_pairs: Pairs solved again, spread evenly over the store; at least four per shard.
        max_drift: How much higher than that of the couplings that a student learned the FID of couplings drawn from it
            may be, as a share: 0.1 is a tenth. Refused is what lies beyond it with all of its 95 % interval.
        drift_allowed: Couplings that may be worse.
    """

    max_clipped_fraction: Annotated[float, Field(ge=0, le=1)]
    max_reintegration_error: NonNegativeFloat
    reintegrated_pairs: PositiveInt
    max_drift: NonNegativeFloat = 0.1
    drift_allowed: tuple[ModelName, ...] = ()
