"""Denoising: how a diffusion teacher is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDPMScheduler

from pipeline.flow.losses import l2
from pipeline.methods.objective import Batch, Objective


@dataclass(frozen=True)
class Denoising(Objective):
    """L2 on what the network of a DDPM predicts of x = alpha x_1 + sigma ε.

    That is ε (Ho et al. 2020, eq. 14), or v = alpha ε - sigma x_1 (Salimans & Ho 2022, app. D). At the noisiest levels
    ε says almost nothing about the image, and errors of v are errors of the image.

    Attributes:
        scheduler: The forward process, and which of the two.
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
        """Squared error of the prediction, (batch,)."""
        x_1, noise, timestep = batch["x_1"], batch["noise"], batch["timestep"]
        noisy = self.scheduler.add_noise(x_1, noise, timestep)
        classes = (batch["labels"],) if "labels" in batch else ()
        target = noise
        if self.scheduler.config["prediction_type"] == "v_prediction":
            target = self.scheduler.get_velocity(x_1, noise, timestep)
        return l2(network(noisy, timestep, *classes).sample.float(), target)
