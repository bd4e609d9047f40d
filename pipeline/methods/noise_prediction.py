"""Noise prediction: how a diffusion teacher is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDPMScheduler

from pipeline.flow.losses import l2
from pipeline.methods.objective import Batch, Objective


@dataclass(frozen=True)
class NoisePrediction(Objective):
    """L2 on the noise of a DDPM (Ho et al. 2020, eq. 14).

    Attributes:
        scheduler: The forward process.
    """

    scheduler: DDPMScheduler

    def times(self, batch: Batch) -> torch.Tensor:
        """1 - timestep / number of timesteps: the same direction as a flow's time, not the same scale."""
        return 1 - batch["timestep"] / int(self.scheduler.config["num_train_timesteps"])

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Timesteps (batch,), uniform integers, and noise like ``x_1``."""
        steps = int(self.scheduler.config["num_train_timesteps"])
        return {
            "timestep": torch.randint(steps, (len(x_1),), generator=generator),
            "noise": torch.randn(x_1.shape, generator=generator),
        }

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Squared error of the predicted noise, (batch,)."""
        noisy = self.scheduler.add_noise(batch["x_1"], batch["noise"], batch["timestep"])
        classes = (batch["labels"],) if "labels" in batch else ()
        return l2(network(noisy, batch["timestep"], *classes).sample.float(), batch["noise"])
