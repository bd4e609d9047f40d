"""One step: distillation of couplings to a single network call."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.flow.losses import VelocityLoss
from pipeline.methods.objective import Batch
from pipeline.models.student import predict_velocity


@dataclass(frozen=True)
class OneStep:
    """Regression of x_1 - x_0 at t = 0 alone (Liu et al. 2022, sec. 3.2, distillation with k = 1).

    The network then knows no other time: at two steps and more it fails.

    Attributes:
        velocity_loss: Loss between predicted and true velocity.
    """

    velocity_loss: VelocityLoss

    @property
    def needs_images(self) -> bool:
        """No: nothing is drawn."""
        return False

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,), all 0."""
        del generator
        return {"t": torch.zeros(len(x_1))}

    def times(self, batch: Batch) -> torch.Tensor:
        """0 for each sample."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the velocity predicted at the noise, (batch,)."""
        x_0, x_1, t = batch["x_0"], batch["x_1"], batch["t"]
        velocity = predict_velocity(network, x_0, t, batch.get("labels"))
        return self.velocity_loss(velocity, x_1 - x_0, x_0, t)
