"""Settings of the one training loop, and of what it minimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.section import (
    FiniteFloat,
    ModelName,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    UnitFloat,
)


class Choice(Section):
    """Base of the sections that pick one function by ``name``.

    A subclass declares ``name`` as a literal, one optional field per parameter, and in ``PARAMETERS`` which of them
    each name takes; the others must be absent or null.
    """

    PARAMETERS: ClassVar[Mapping[str, tuple[str, ...]]]
    name: str

    def parameters(self) -> dict[str, float]:
        """Keyword arguments of the chosen function."""
        return {key: getattr(self, key) for key in self.PARAMETERS[self.name]}

    @model_validator(mode="after")
    def _parameters_match_name(self) -> Choice:
        wanted = set(self.PARAMETERS[self.name])
        given = {key for key in type(self).model_fields if key != "name" and getattr(self, key) is not None}
        problems = [f"needs {key}" for key in sorted(wanted - given)]
        problems += [f"takes no {key} (set it to null)" for key in sorted(given - wanted)]
        if problems:
            raise ValueError(f"{self.name} {' and '.join(problems)}")
        return self


WeightingName = Literal["uniform", "cosmap", "image_error"]
Probability = Annotated[float, Field(ge=0, lt=1)]


_NOT_OF_RESULT = {
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "checkpoint_every_steps",
    "kept_checkpoints",
    "marked_checkpoint_every_steps",
}


class TrainingConfig(Section):
    """Settings of the one training loop.

    Attributes:
        num_steps: Optimizer steps.
        batch_size: Images per step over all processes together.
        learning_rate: Peak learning rate of AdamW.
        lr_decay: Course of the learning rate after warm-up: ``constant``, or ``linear``/``cosine`` to 0.
        warmup_steps: Steps over which the learning rate rises linearly from 0.
        weight_decay: AdamW's decoupled weight decay.
        gradient_clip_norm: Largest global gradient norm.
        ema_halflife_images: Half-life of the weight average, in training images.
        ema_rampup_ratio: The half-life is at most this share of the images seen so far (EDM2).
        ema_other_halflives_images: Half-lives of further weight averages kept at once; of all of them the one with
            the lowest held-out loss becomes the model. Needs ``heldout_items``.
        gradient_accumulation_steps: Micro-batches that each process divides its share of a batch into.
        gradient_checkpointing: Computes activations twice instead of keeping them: slower, less memory.
        horizontal_flips: Trains on every sample flipped left to right as well, noise and image together.
        heldout_items: Samples kept from training, on which the loss of the averaged weights is measured: a spread of
            the couplings, the same for all that train on them; for what is trained on data, of the held-out split.
        heldout_every_steps: Steps between two such measurements; null measures at the end only.
        log_every_steps: Steps between two recorded losses.
        checkpoint_every_steps: Steps between two checkpoints.
        kept_checkpoints: Newest checkpoints to keep while training.
        marked_checkpoint_every_steps: Checkpoints at multiples of this are kept as long as the run; null marks none.
        seed: Seed of batch order, times, noise and dropout.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    lr_decay: Literal["constant", "linear", "cosine"]
    warmup_steps: NonNegativeInt
    weight_decay: NonNegativeFloat
    gradient_clip_norm: PositiveFloat
    ema_halflife_images: PositiveInt
    ema_rampup_ratio: Annotated[float, Field(gt=0, le=1)]
    ema_other_halflives_images: tuple[PositiveInt, ...] = ()
    gradient_accumulation_steps: PositiveInt = 1
    gradient_checkpointing: bool = False
    horizontal_flips: bool = False
    heldout_items: NonNegativeInt = 0
    heldout_every_steps: PositiveInt | None = None
    log_every_steps: PositiveInt
    checkpoint_every_steps: PositiveInt
    kept_checkpoints: PositiveInt = 2
    marked_checkpoint_every_steps: PositiveInt | None = None
    seed: NonNegativeInt

    def of_result(self) -> dict[str, Any]:
        """The settings that the result depends on beyond rounding; a run may go on when the others have changed."""
        return self.model_dump(mode="json", exclude=_NOT_OF_RESULT)

    @property
    def halflives_images(self) -> tuple[int, ...]:
        """Half-lives of all weight averages, the default one first."""
        return (self.ema_halflife_images, *self.ema_other_halflives_images)

    @model_validator(mode="after")
    def _averages_can_be_told_apart(self) -> TrainingConfig:
        if len(set(self.halflives_images)) < len(self.halflives_images):
            raise ValueError(f"EMA half-lives must differ, found {list(self.halflives_images)}")
        if self.ema_other_halflives_images and not self.heldout_items:
            raise ValueError("ema_other_halflives_images needs heldout_items, whose loss chooses between them")
        if self.heldout_every_steps is not None and not self.heldout_items:
            raise ValueError("heldout_every_steps needs heldout_items")
        return self


class LossConfig(Choice):
    """Regression loss on velocities, see :mod:`pipeline.flow.losses`.

    Attributes:
        name: ``l2``, ``pseudo_huber``, or ``lpips_huber``: pseudo-Huber plus LPIPS / (1 - t) (Lee et al. 2024), which
            needs the package lpips.
        c: Pseudo-Huber constant as a multiple of sqrt(d), d = C·H·W. Song & Dhariwal 2023 use 0.00054;
            the 0.00054·d of Lee et al. 2024 is 0.00054·sqrt(d) here, 0.03 for 3×32×32.
    """

    PARAMETERS: ClassVar = {"l2": (), "pseudo_huber": ("c",), "lpips_huber": ("c",)}
    name: Literal["l2", "pseudo_huber", "lpips_huber"]
    c: PositiveFloat | None = None


class TimestepsConfig(Choice):
    """Distribution of t while training, see :mod:`pipeline.flow.timesteps`.

    Attributes:
        name: ``uniform``, ``u_shaped``, ``exponential``, ``logit_normal`` or ``fixed``.
        a: Steepness of ``u_shaped`` (> 0; Lee et al. 2024 use 4) and ``exponential`` (negative: most mass at noise,
            t = 0; positive: at images, t = 1).
        mean: Mean of the logit of t, for ``logit_normal``.
        std: Its standard deviation.
        t: The only time of ``fixed``.
    """

    PARAMETERS: ClassVar = {
        "uniform": (),
        "u_shaped": ("a",),
        "exponential": ("a",),
        "logit_normal": ("mean", "std"),
        "fixed": ("t",),
    }
    name: Literal["uniform", "u_shaped", "exponential", "logit_normal", "fixed"]
    a: FiniteFloat | None = None
    mean: FiniteFloat | None = None
    std: PositiveFloat | None = None
    t: UnitFloat | None = None

    @model_validator(mode="after")
    def _steepness_is_possible(self) -> TimestepsConfig:
        if self.a is not None and (self.a == 0 or (self.a < 0 and self.name == "u_shaped")):
            raise ValueError(f"{self.name} with a = {self.a}: give another a, or name: uniform")
        return self


class PathConfig(Choice):
    """Path between noise and image while training, see :mod:`pipeline.flow.paths`.

    Attributes:
        name: ``linear``, the rectified flow's, or ``conditional_ot``.
        sigma_min: Scale of the noise that ``conditional_ot`` leaves in images (Lipman et al. 2023).
    """

    PARAMETERS: ClassVar = {"linear": (), "conditional_ot": ("sigma_min",)}
    name: Literal["linear", "conditional_ot"]
    sigma_min: Probability | None = None


class VelocityConfig(Section):
    """Regression of a velocity.

    Attributes:
        loss: Regression loss.
        timesteps: Distribution of t.
        weighting: Weight of the loss by t, see :mod:`pipeline.flow.weightings`.
        path: Path between noise and image.
    """

    loss: LossConfig
    timesteps: TimestepsConfig
    weighting: WeightingName = "uniform"
    path: PathConfig = PathConfig(name="linear")


class FlowMatchingConfig(VelocityConfig):
    """Flow matching from data: a first flow that needs no teacher.

    Attributes:
        coupling: ``independent`` noise, or ``minibatch_ot``: within a step's batch noise and images are paired so that
            the sum of their squared distances is least (Pooladian et al. 2023, Tong et al. 2024).
        noise: Distribution of x_0.
    """

    coupling: Literal["independent", "minibatch_ot"]
    noise: NoiseConfig = STANDARD_NOISE

    @property
    def is_plain(self) -> bool:
        """Whether E[x_1 - x_0 | x_t] of independent pairs is its minimiser: of straight lines, by squared error."""
        return self.coupling == "independent" and self.path.name == "linear" and self.loss.name == "l2"


class FlowConfig(TrainingConfig, FlowMatchingConfig):
    """A flow matched to the data beside the teacher, of the teacher's architecture, with fresh weights."""


class FlowTrainingConfig(TrainingConfig, VelocityConfig):
    """Training of a round's velocity field.

    Attributes:
        init: Model whose EMA weights and architecture the student starts from.
        dropout: Dropout probability while training, whatever the initial model was trained with.
    """

    init: ModelName
    dropout: Probability = 0.0


class DistillConfig(TrainingConfig):
    """Distillation to one step: regression of x_1 - x_0 at t = 0.

    Attributes:
        couplings: Round whose couplings are learned.
        init: Model whose EMA weights the generator starts from.
        loss: Regression loss.
        dropout: Dropout probability while training, whatever the initial model was trained with.
    """

    couplings: ModelName
    init: ModelName
    loss: LossConfig
    dropout: Probability = 0.0
