"""Progressive distillation: a student that makes in one step what the model that it starts from makes in two."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.flow.losses import VelocityLoss
from pipeline.flow.noise import place_noise
from pipeline.flow.paths import LINEAR
from pipeline.methods.objective import Batch, Objective
from pipeline.models.ode import Ode
from pipeline.models.student import predict_velocity


@dataclass(frozen=True)
class Progressive(Objective):
    """Regression of the velocity that two half steps of the initial model add up to (Salimans & Ho 2022, alg. 2).

    A student of N steps starts its steps at t in {0, 1/N, …, (N - 1)/N}. There x_t is between an image of the
    couplings and fresh noise, and the target is N (x̃ - x_t), x̃ being where two steps of length 1/(2N) along the
    initial model's ODE lead. On straight-line time DDIM's steps are Euler's, so this is their x̃ in velocities. Its loss
    has weight 1 here; theirs weights predictions of the image by the signal-to-noise ratio, at least 1 (eq. 9).

    Attributes:
        velocity_loss: Loss between predicted velocity and target.
        num_steps: N, Euler steps that the student is for.
        init: ODE of the initial model.
    """

    velocity_loss: VelocityLoss
    num_steps: int
    init: Ode

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,), uniform where the student's steps start, and noise ``x_0`` like ``x_1``."""
        t = torch.randint(self.num_steps, (len(x_1),), generator=generator) / self.num_steps
        return {"t": t, "x_0": place_noise(torch.randn(x_1.shape, generator=generator), self.init.noise)}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        t, labels = batch["t"], batch.get("labels")
        x_t = LINEAR.point(batch["x_0"], batch["x_1"], t)
        middle, end = t + 0.5 / self.num_steps, t + 1 / self.num_steps
        halfway = self.init.euler(x_t, t, middle, labels)
        target = self.num_steps * (self.init.euler(halfway, middle, end, labels) - x_t)
        velocity = predict_velocity(network, x_t, t, labels)
        return self.velocity_loss(velocity, target, x_t, t)
