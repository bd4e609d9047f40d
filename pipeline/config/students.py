"""A student of couplings: what it learns from, how, and where its weights start."""

from __future__ import annotations

from pydantic import model_validator

from pipeline.config.flow import LossConfig
from pipeline.config.methods import ConsistencyConfig, FrechetConfig, MeanFlowConfig, MethodConfig
from pipeline.config.section import ModelName, Probability
from pipeline.config.training import TrainingConfig


class StudentConfig(TrainingConfig):
    """One student, and its settings of the training loop.

    Attributes:
        couplings: Name of the couplings that are learned.
        init: Model whose EMA weights and architecture the student starts from.
        method: How it learns them.
        loss: Regression loss.
        dropout: Dropout probability while training, whatever the initial model was trained with; what it means is said
            in :class:`pipeline.config.network.UNetConfig`. A network without residual blocks takes 0 alone.
    """

    couplings: ModelName
    init: ModelName
    method: MethodConfig
    loss: LossConfig
    dropout: Probability = 0.0

    @model_validator(mode="after")
    def _differences_see_one_network(self) -> StudentConfig:
        if isinstance(self.method, MeanFlowConfig | ConsistencyConfig) and self.dropout > 0:
            raise ValueError(
                f"dropout is {self.dropout}, but {self.method.name} takes differences of two calls, in which dropout "
                "drops different values; set dropout to 0"
            )
        return self

    @model_validator(mode="after")
    def _averages_are_compared_by_images(self) -> StudentConfig:
        if isinstance(self.method, ConsistencyConfig) and self.ema_other_halflives_images:
            raise ValueError(
                "ema_other_halflives_images are chosen between by the held-out loss, in which consistency compares its "
                "images with its own, whatever they show; leave it empty"
            )
        return self

    @model_validator(mode="after")
    def _moments_are_of_whole_batches(self) -> StudentConfig:
        if isinstance(self.method, FrechetConfig) and self.gradient_accumulation_steps > 1:
            raise ValueError(
                f"gradient_accumulation_steps is {self.gradient_accumulation_steps}, but frechet compares the moments "
                "of a whole batch; set it to 1, and lower generated_per_pair or batch_size to save memory"
            )
        return self
