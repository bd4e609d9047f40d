"""A student of couplings: what it learns from, how, and where its weights start."""

from __future__ import annotations

from pipeline.config.flow import LossConfig
from pipeline.config.methods import MethodConfig
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
