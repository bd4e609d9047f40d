"""Consistency distillation: one image from all along a trajectory of the initial model's ODE."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.flow.losses import VelocityLoss
from pipeline.flow.noise import place_noise
from pipeline.flow.paths import LINEAR, per_sample
from pipeline.flow.solvers import EDM_SIGMA_MAX, EDM_SIGMA_MIN
from pipeline.flow.timesteps import TimeSampler
from pipeline.methods.consistency_schedule import Schedule
from pipeline.methods.objective import Batch, Objective
from pipeline.models.ode import Ode
from pipeline.models.student import predict_velocity


@dataclass(frozen=True)
class Consistency(Objective):
    """Regression of the student's image one step of the ODE further on (Song et al. 2023, eq. 9 and alg. 2).

    The image is f(x_t, t) = x_t + (1 - t) v(x_t, t), so that f(x, 1) = x. x_t is between an image of the couplings and
    fresh noise, x_s one step of the initial model's ODE from there. The target is sg f(x_s, s), by the student itself
    and not by an average of its weights (Song & Dhariwal 2023). As velocities, (f(x_s, s) - x_t) / (1 - t) with weight
    (1 - t) / (σ_t - σ_s): for losses that grow like the error, as pseudo-Huber's, that is ECT's
    loss(f(x_t, t), f(x_s, s)) / (σ_t - σ_s). Euler steps of v go on the straight line to f, then ask again.

    Times before noise level 80, or before the first of the ODE, are t = 0, with the step of that level; times after
    level 0.002, or after the last of the ODE, are that level's.

    Attributes:
        timesteps: Distribution of t.
        velocity_loss: Loss between predicted velocity and target.
        schedule: Of the second time.
        second_order: Whether a step of the ODE is Heun's, otherwise Euler's.
        init: ODE of the initial model.
    """

    timesteps: TimeSampler
    velocity_loss: VelocityLoss
    schedule: Schedule
    second_order: bool
    init: Ode

    @property
    def _first_time(self) -> float:
        """The first time after noise."""
        return max(1 / (1 + EDM_SIGMA_MAX), self.init.first_time)

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,), and noise ``x_0`` like ``x_1``."""
        last_time = min(1 / (1 + EDM_SIGMA_MIN), self.init.last_time)
        t = self.timesteps(len(x_1), generator).clamp(max=last_time)
        noise = place_noise(torch.randn(x_1.shape, generator=generator), self.init.noise)
        return {"t": t.masked_fill(t < self._first_time, 0), "x_0": noise}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        t, labels = batch["t"], batch.get("labels")
        x_t = LINEAR.point(batch["x_0"], batch["x_1"], t)
        level_time = t.clamp(min=self._first_time)
        sigma = (1 - level_time) / level_time
        kept = self.schedule.kept(sigma, batch["progress"])
        s = level_time / (level_time + kept * (1 - level_time))
        step = self.init.heun if self.second_order else self.init.euler
        image = own_image(network, step(x_t, t, s, labels), s, labels)
        velocity = predict_velocity(network, x_t, t, labels)
        target = (image - x_t) / per_sample(1 - t, x_t)
        return (1 - t) / (sigma * (1 - kept)) * self.velocity_loss(velocity, target, x_t, t)


@torch.no_grad()
def own_image(
    network: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None
) -> torch.Tensor:
    """f(x_t, t) = x_t + (1 - t) v(x_t, t) without a gradient, (batch, …)."""
    return x_t + per_sample(1 - t, x_t) * predict_velocity(network, x_t, t, labels)
