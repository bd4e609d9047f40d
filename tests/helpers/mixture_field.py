"""The exact velocity field of a mixture in the form of a student's network."""

from __future__ import annotations

from typing import NamedTuple

import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.models.student import NUM_TRAIN_TIMESTEPS
from pipeline.toys.gaussian_mixture import GaussianMixture


class Prediction(NamedTuple):
    """A network's output, named as in diffusers."""

    sample: torch.Tensor


class MixtureField(torch.nn.Module):
    """The exact velocity field of a mixture, called like a student's network: predicts x_0 - x_1 at 1000 (1 - t).

    Args:
        mixture: Distribution of x_1.
        noise: Distribution of x_0.
    """

    def __init__(self, mixture: GaussianMixture, noise: NoiseConfig = STANDARD_NOISE) -> None:
        super().__init__()
        self._mixture, self._noise = mixture, noise

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor | float) -> Prediction:
        """The prediction at (batch, dim) and (batch,) timesteps, or one for all, in ``.sample``."""
        t = 1 - torch.as_tensor(timestep).to(sample).reshape(-1).expand(len(sample)) / NUM_TRAIN_TIMESTEPS
        return Prediction(sample=-self._mixture.velocity(sample, t, self._noise))
