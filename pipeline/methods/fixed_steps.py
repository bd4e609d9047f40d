"""Fixed steps: distillation of couplings to a student of exactly so many network calls."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.flow.losses import VelocityLoss
from pipeline.flow.paths import LINEAR
from pipeline.methods.objective import Batch, Objective
from pipeline.models.student import predict_velocity


@dataclass(frozen=True)
class FixedSteps(Objective):
    """Regression of x_1 - x_0 on the pairs' line where each of k equal steps starts (Liu et al. 2022, sec. 3.2).

    The network then knows these k times alone: at another number of steps it fails. With k = 1 its only input is noise.

    Attributes:
        velocity_loss: Loss between predicted and true velocity.
        num_steps: k, Euler steps that the student is for.
    """

    velocity_loss: VelocityLoss
    num_steps: int

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,), uniform on 0, 1/k, …, (k - 1)/k."""
        return {"t": torch.randint(self.num_steps, (len(x_1),), generator=generator) / self.num_steps}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        x_0, x_1, t = batch["x_0"], batch["x_1"], batch["t"]
        x_t = LINEAR.point(x_0, x_1, t)
        velocity = predict_velocity(network, x_t, t, batch.get("labels"))
        return self.velocity_loss(velocity, x_1 - x_0, x_t, t)
