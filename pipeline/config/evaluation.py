"""What is measured, and with which features."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.section import ModelName, NonNegativeInt, PositiveFloat, PositiveInt, Section


class ClassifierConfig(Section):
    """The small network whose features measure images that Inception does not fit.

    Attributes:
        num_steps: Training steps.
        batch_size: Images per step.
        learning_rate: Peak learning rate of AdamW, decayed linearly to 0.
        num_features: Width of the feature layer.
        min_accuracy: Held-out accuracy below which training fails.
        seed: Seed of weights and batches.
    """

    num_steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    num_features: PositiveInt
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    seed: NonNegativeInt


class FeaturesConfig(Section):
    """What FID is computed on.

    Attributes:
        name: ``inception`` (clean-fid's network) or ``classifier`` (trained here on the training split).
        reference: Split whose images are the reference.
        classifier: Settings of the classifier; used when ``name`` is ``classifier``.
        batch_size: Images per feature pass.
    """

    name: Literal["inception", "classifier"]
    reference: Literal["train", "heldout"]
    classifier: ClassifierConfig
    batch_size: PositiveInt


class StraightnessConfig(Section):
    """How straightness is integrated: trajectories and Euler steps along them."""

    num_samples: PositiveInt
    num_steps: PositiveInt


class EvaluateConfig(Section):
    """The few-step sweep.

    Attributes:
        models: Models measured, in the order of tables and figures.
        num_steps: Step counts.
        num_samples: Generated images per cell.
        seed: Sample i's noise is a function of it and i; every cell shares the noise.
        batch_size: Images per network call, per process.
        teacher_solvers: Solvers the teacher is measured with.
        straightness: Settings of the straightness integral.
        grid_images: Noises shown in the sample grids.
    """

    models: tuple[ModelName, ...]
    num_steps: tuple[PositiveInt, ...]
    num_samples: PositiveInt
    seed: NonNegativeInt
    batch_size: PositiveInt
    teacher_solvers: tuple[Literal["ddim", "unipc"], ...]
    straightness: StraightnessConfig
    grid_images: PositiveInt
