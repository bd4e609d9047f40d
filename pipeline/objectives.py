"""What a training step minimises: the teacher's noise prediction, or a student's velocity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler

from pipeline.config import STANDARD_NOISE, FlowMatchingConfig, NoiseConfig, VelocityConfig
from pipeline.interpolation import LINEAR, Path, build_path
from pipeline.losses import Loss, build_loss, l2
from pipeline.noise import place_noise
from pipeline.optimal_transport import pair_by_optimal_transport
from pipeline.student import predict_velocity
from pipeline.timesteps import TimeSampler, build_timesteps
from pipeline.weightings import WEIGHTINGS, Weighting, uniform

Batch = dict[str, torch.Tensor]


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
        """No."""
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
    """

    timesteps: TimeSampler
    regression_loss: Loss
    weighting: Weighting = uniform
    path: Path = LINEAR

    @property
    def needs_images(self) -> bool:
        """No."""
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
        velocity: Any = predict_velocity(network, self.path.point(x_0, x_1, t), t)
        return self.weighting(t) * self.regression_loss(velocity, self.path.velocity(x_0, x_1))


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
        """Optimal transport does."""
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


def build_velocity_regression(config: VelocityConfig) -> VelocityRegression:
    """The configured regression on given pairs."""
    return VelocityRegression(
        build_timesteps(config.timesteps),
        build_loss(config.loss),
        WEIGHTINGS[config.weighting],
        build_path(config.path),
    )


def build_flow_matching(config: FlowMatchingConfig) -> FlowMatching:
    """The configured flow matching from data."""
    return FlowMatching(build_velocity_regression(config), config.coupling == "minibatch_ot", config.noise)
