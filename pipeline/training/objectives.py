"""What a training step minimises: the teacher's noise prediction, or a student's velocity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from diffusers import DDPMScheduler

from pipeline.config.flow import FlowMatchingConfig, LossConfig, VelocityConfig
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.flow.losses import WEIGHTINGS, Loss, Perceptual, Weighting, build_loss, l2, load_lpips, uniform_weight
from pipeline.flow.noise import place_noise
from pipeline.flow.optimal_transport import pair_by_optimal_transport
from pipeline.flow.paths import LINEAR, Path, build_path, per_sample
from pipeline.flow.timesteps import TimeSampler, build_timesteps, fixed
from pipeline.models.student import predict_velocity

Batch = dict[str, torch.Tensor]

SMALLEST_TIME_LEFT = 1e-3
"""Least 1 - t that a perceptual distance is divided by; at t = 1 it compares an image with itself."""


class Objective(Protocol):
    """Randomness and loss of one training step."""

    @property
    def needs_images(self) -> bool:
        """Whether :meth:`draw` looks at the images, and not only at their shape."""

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Random numbers for the global batch ``x_1``, drawn on the CPU."""

    def times(self, batch: Batch) -> torch.Tensor:
        """t of each sample, from noise (0) to image (1), (batch,)."""

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of each sample, (batch,)."""


@dataclass(frozen=True)
class NoisePrediction:
    """L2 on the noise of a DDPM (Ho et al. 2020, eq. 14).

    Attributes:
        scheduler: The forward process.
    """

    scheduler: DDPMScheduler

    @property
    def needs_images(self) -> bool:
        """No: noise and timesteps need only their shape."""
        return False

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
        return l2(network(noisy, batch["timestep"]).sample.float(), batch["noise"])


@dataclass(frozen=True)
class VelocityRegression:
    """Regression of dx_t/dt at x_t (Liu et al. 2022, eq. 1); with t fixed at 0, one-step distillation.

    Attributes:
        timesteps: Distribution of t.
        regression_loss: Loss between predicted and true velocity.
        weighting: Weight of the loss by t.
        path: Path between noise and image.
        perceptual: Distance between the images that the predicted and the true velocity lead to. The loss then is
            t · regression + distance / (1 - t), LPIPS-Huber-1/t as the published code of Lee et al. 2024 has it
            (``lpips-huber`` with ``--lpips_divt``; its t is 1 - t here). None leaves the regression alone.
    """

    timesteps: TimeSampler
    regression_loss: Loss
    weighting: Weighting = uniform_weight
    path: Path = LINEAR
    perceptual: Perceptual | None = None

    @property
    def needs_images(self) -> bool:
        """No: times need only their number."""
        return False

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,)."""
        return {"t": self.timesteps(len(x_1), generator)}

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        x_0, x_1, t = batch["x_0"], batch["x_1"], batch["t"]
        x_t, target = self.path.point(x_0, x_1, t), self.path.velocity(x_0, x_1)
        velocity = predict_velocity(network, x_t, t, batch.get("labels"))
        loss = self.regression_loss(velocity, target)
        if self.perceptual is not None:
            left = per_sample(1 - t, x_t)
            distance = self.perceptual(x_t + left * velocity, x_t + left * target)
            loss = t * loss + distance / (1 - t).clamp(min=SMALLEST_TIME_LEFT)
        return self.weighting(t) * loss


@dataclass(frozen=True)
class FlowMatching:
    """Velocity regression between fresh noise and images (Lipman et al. 2023; Liu et al. 2022, first flow).

    Attributes:
        regression: What is minimised once noise and images are paired.
        minibatch_ot: Whether they are paired by optimal transport within the batch, instead of at random.
        noise: Distribution of the noise.
    """

    regression: VelocityRegression
    minibatch_ot: bool
    noise: NoiseConfig = STANDARD_NOISE

    @property
    def needs_images(self) -> bool:
        """Pairing by optimal transport does."""
        return self.minibatch_ot

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,) and noise ``x_0`` like ``x_1``."""
        drawn = self.regression.draw(x_1, generator)
        x_0 = place_noise(torch.randn(x_1.shape, generator=generator), self.noise)
        return drawn | {"x_0": pair_by_optimal_transport(x_0, x_1) if self.minibatch_ot else x_0}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return self.regression.times(batch)

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        return self.regression.loss(network, batch)


def build_velocity_regression(config: VelocityConfig, device: torch.device) -> VelocityRegression:
    """The configured regression on given pairs."""
    return VelocityRegression(
        build_timesteps(config.timesteps),
        build_loss(config.loss),
        WEIGHTINGS[config.weighting],
        build_path(config.path),
        build_perceptual(config.loss, device),
    )


def build_distillation(loss: LossConfig, device: torch.device) -> VelocityRegression:
    """Distillation to one step: the velocity at t = 0 alone."""
    return VelocityRegression(partial(fixed, t=0.0), build_loss(loss), perceptual=build_perceptual(loss, device))


def build_flow_matching(config: FlowMatchingConfig, device: torch.device) -> FlowMatching:
    """The configured flow matching from data."""
    return FlowMatching(build_velocity_regression(config, device), config.coupling == "minibatch_ot", config.noise)


def build_perceptual(config: LossConfig, device: torch.device) -> Perceptual | None:
    """The perceptual part of the configured loss, if it has one."""
    return load_lpips(device) if config.name == "lpips_huber" else None
