"""Settings of the one training loop, and of what it minimises."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import (
    ModelName,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)


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
        log_every_steps: Steps between two recorded losses.
        checkpoint_every_steps: Steps between two checkpoints.
        seed: Seed of batch order, times and noise.
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
    log_every_steps: PositiveInt
    checkpoint_every_steps: PositiveInt
    seed: NonNegativeInt


class LossConfig(Section):
    """Regression loss on velocities.

    Attributes:
        name: ``l2`` or ``pseudo_huber``.
        c: Pseudo-Huber constant as a multiple of sqrt(d), d = C·H·W (Song & Dhariwal use 0.00054);
            null for ``l2``.
    """

    name: Literal["l2", "pseudo_huber"]
    c: PositiveFloat | None = None

    @model_validator(mode="after")
    def _constant_matches_loss(self) -> LossConfig:
        if (self.name == "pseudo_huber") != (self.c is not None):
            raise ValueError("loss pseudo_huber takes c, loss l2 takes none")
        return self


class TimestepsConfig(Section):
    """Distribution of t while training.

    Attributes:
        name: ``uniform`` on [0, 1] or ``u_shaped``.
        a: Steepness of ``u_shaped`` (Lee et al. 2024 use 4); null for ``uniform``.
    """

    name: Literal["uniform", "u_shaped"]
    a: PositiveFloat | None = None

    @model_validator(mode="after")
    def _steepness_matches_name(self) -> TimestepsConfig:
        if (self.name == "u_shaped") != (self.a is not None):
            raise ValueError("timesteps u_shaped takes a, timesteps uniform takes none")
        return self


class FlowTrainingConfig(TrainingConfig):
    """Training of a round's velocity field.

    Attributes:
        init: Model whose EMA weights and architecture the student starts from.
        loss: Regression loss.
        timesteps: Distribution of t.
    """

    init: ModelName
    loss: LossConfig
    timesteps: TimestepsConfig


class DistillConfig(TrainingConfig):
    """Distillation to one step: regression of x_1 - x_0 at t = 0.

    Attributes:
        couplings: Round whose couplings are learned.
        init: Model whose EMA weights the generator starts from.
        loss: Regression loss.
    """

    couplings: ModelName
    init: ModelName
    loss: LossConfig
