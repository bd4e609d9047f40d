"""Reflow: the velocity of the lines between the pairs, at times all along them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.config.flow import LossConfig, RegressionConfig
from pipeline.flow.losses import WEIGHTINGS, VelocityLoss, Weighting, build_velocity_loss, uniform_weight
from pipeline.flow.paths import LINEAR, Path, build_path
from pipeline.flow.timesteps import TimeSampler, build_timesteps
from pipeline.methods.objective import Batch, Objective
from pipeline.models.student import predict_velocity


@dataclass(frozen=True)
class Reflow(Objective):
    """Regression of dx_t/dt at x_t of given pairs (Liu et al. 2022, eq. 1): E[w(t) · loss(v(x_t, t), x_1 - x_0)].

    Attributes:
        timesteps: Distribution of t.
        velocity_loss: Loss between predicted and true velocity.
        weighting: Weight of the loss by t.
        path: Path between noise and image.
    """

    timesteps: TimeSampler
    velocity_loss: VelocityLoss
    weighting: Weighting = uniform_weight
    path: Path = LINEAR

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,)."""
        return {"t": self.timesteps(len(x_1), generator)}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        x_0, x_1, t = batch["x_0"], batch["x_1"], batch["t"]
        x_t = self.path.point(x_0, x_1, t)
        velocity = predict_velocity(network, x_t, t, batch.get("labels"))
        return self.weighting(t) * self.velocity_loss(velocity, self.path.velocity(x_0, x_1), x_t, t)


def build_reflow(config: RegressionConfig, loss: LossConfig, device: torch.device) -> Reflow:
    """The configured regression; networks of its loss go on ``device``."""
    return Reflow(
        build_timesteps(config.timesteps),
        build_velocity_loss(loss, device),
        WEIGHTINGS[config.weighting],
        build_path(config.path),
    )
