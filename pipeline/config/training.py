"""Settings of the one training loop, and of the trainings that use it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.config.flow import FlowMatchingConfig
from pipeline.config.section import (
    UNIT_ROUNDOFF,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
)

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
        optimizer: ``adamw``, or ``muon`` for the hidden weight matrices and convolutions with AdamW for the rest, see
            :mod:`pipeline.training.muon`.
        learning_rate: Peak learning rate of AdamW, and of Muon, whose steps are scaled to AdamW's.
        lr_decay: Course of the learning rate after warm-up: ``constant``, or ``linear``/``cosine`` to 0.
        warmup_steps: Steps over which the learning rate rises linearly from 0.
        weight_decay: Decoupled weight decay.
        gradient_clip_norm: Largest global gradient norm.
        ema_halflife_images: Half-life of the weight average, in training images.
        ema_rampup_ratio: The half-life is at most this share of the images seen so far (EDM2).
        ema_other_halflives_images: Half-lives of further weight averages kept alongside; the average with the lowest
            held-out loss becomes the model. Needs ``heldout_items``.
        gradient_accumulation_steps: Micro-batches that each process divides its share of a batch into.
        gradient_checkpointing: Recomputes activations instead of keeping them: slower, less memory.
        horizontal_flips: Trains on every sample flipped left to right as well, noise and image together.
        heldout_items: Samples on which the loss of the averaged weights is measured. For students, randomly chosen
            couplings kept from training, the same for all students of a store; for models of the data, from its
            held-out split.
        heldout_every_steps: Steps between two such measurements; null measures at the end only.
        log_every_steps: Steps between two recorded losses.
        checkpoint_every_steps: Steps between two checkpoints.
        kept_checkpoints: Newest checkpoints to keep while training.
        marked_checkpoint_every_steps: Checkpoints at multiples of this are kept until the run ends; null marks none.
        seed: Seed of batch order, times, noise and dropout.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["adamw", "muon"] = "adamw"
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
    seed: Seed

    def batch_problem(self, num_processes: int) -> str | None:
        """Why a batch does not divide into equal micro-batches over ``num_processes``; None if it does."""
        parts = num_processes * self.gradient_accumulation_steps
        if self.batch_size % parts == 0:
            return None
        return (
            f"batch_size {self.batch_size} does not divide over {num_processes} processes × "
            f"{self.gradient_accumulation_steps} micro-batches"
        )

    def result_settings(self) -> dict[str, Any]:
        """The settings that the result depends on beyond rounding; a run may continue with the others changed."""
        return self.model_dump(mode="json", exclude=_NOT_OF_RESULT)

    @property
    def halflives_images(self) -> tuple[int, ...]:
        """Half-lives of all weight averages, the default one first."""
        return (self.ema_halflife_images, *self.ema_other_halflives_images)

    @model_validator(mode="after")
    def _numbers_fit_each_other(self) -> TrainingConfig:
        if self.warmup_steps > self.num_steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}, more than num_steps ({self.num_steps}); the learning rate would "
                "never reach learning_rate"
            )
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                f"learning_rate {self.learning_rate} times weight_decay {self.weight_decay} is the share of a weight "
                "that is taken away in each step, and must be below 1"
            )
        for halflife in self.halflives_images:
            if halflife * UNIT_ROUNDOFF > self.batch_size:
                raise ValueError(
                    f"an EMA half-life of {halflife} images is more than {1 / UNIT_ROUNDOFF:.0f} batches of "
                    f"{self.batch_size}: in float32 a step would leave the average as it was"
                )
        if len(set(self.halflives_images)) < len(self.halflives_images):
            raise ValueError(f"EMA half-lives must differ, found {list(self.halflives_images)}")
        if self.ema_other_halflives_images and not self.heldout_items:
            raise ValueError("ema_other_halflives_images needs heldout_items, whose loss chooses between them")
        if self.heldout_every_steps is not None and not self.heldout_items:
            raise ValueError("heldout_every_steps needs heldout_items")
        return self


class FlowConfig(TrainingConfig, FlowMatchingConfig):
    """A flow trained on the data beside the teacher, with the teacher's architecture and fresh weights."""
