"""A training that takes seconds: twenty pairs, an objective, settings."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.config.training import TrainingConfig
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.timesteps import uniform
from pipeline.methods.reflow import Reflow

OBJECTIVE = Reflow(uniform, VelocityLoss(l2))


def training_config(**changes: object) -> TrainingConfig:
    """Twelve steps of eight samples."""
    values = {
        "num_steps": 12,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "lr_decay": "linear",
        "warmup_steps": 2,
        "weight_decay": 0.0,
        "gradient_clip_norm": 1.0,
        "ema_halflife_images": 50,
        "ema_rampup_ratio": 0.1,
        "log_every_steps": 4,
        "checkpoint_every_steps": 5,
        "seed": 0,
    }
    return TrainingConfig.model_validate(values | changes)


class Pairs:
    """Twenty pairs, the same in every process."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x_0 = torch.randn(20, 1, 8, 8, generator=generator)
        self.x_1 = torch.randn(20, 1, 8, 8, generator=generator)

    def __len__(self) -> int:
        return 20

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        return {"x_0": self.x_0[indices], "x_1": self.x_1[indices]}

    def locate(self, index: int) -> str:
        return f"pair {index}"
