"""A small network for samples of shape (dim,), called and saved like a ``UNet2DModel``."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.utils import BaseOutput
from torch import nn

from pipeline.config.network import MLPConfig


@dataclass
class VelocityMLPOutput(BaseOutput):
    """What a network predicts.

    Attributes:
        sample: (batch, dim).
    """

    sample: torch.Tensor


class VelocityMLP(ModelMixin, ConfigMixin):
    """A multilayer perceptron of a point and a timestep.

    It sees x, sines and cosines of every entry of x (Tancik et al. 2020, with octaves in place of random
    frequencies; without them a network of this size blurs the edges of a density) and a sinusoidal embedding of the
    timestep. Like a UNet it predicts noise where a diffusion model is trained, x_0 - x_1 where a flow is.

    Args:
        in_channels: dim of a point.
        sample_size: Further dimensions of a sample, none; named as in ``UNet2DModel``.
        width: Units of each hidden layer.
        num_layers: Hidden layers.
        fourier_octaves: Frequencies for every entry of x, each twice the one before; 0 leaves them out.
        longest_wavelength: Wavelength of the lowest of them, in units of x.
        time_features: Sines and cosines of the timestep.
        noise_mean: Mean of x_0; none for 0, see :class:`pipeline.config.noise.NoiseConfig`.
        noise_std: Standard deviation of x_0.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int,
        sample_size: tuple[int, ...] = (),
        width: int = 256,
        num_layers: int = 4,
        fourier_octaves: int = 4,
        longest_wavelength: float = 8.0,
        time_features: int = 64,
        noise_mean: tuple[float, ...] | None = None,
        noise_std: float = 1.0,
    ) -> None:
        super().__init__()
        del sample_size, noise_mean, noise_std  # kept in the saved configuration
        self._time_features = time_features
        frequencies = 2 * math.pi / longest_wavelength * 2.0 ** torch.arange(fourier_octaves)
        self.register_buffer("_frequencies", frequencies, persistent=False)
        widths = [in_channels * (1 + 2 * fourier_octaves) + time_features, *[width] * num_layers]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], in_channels))

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor | float) -> VelocityMLPOutput:
        """The prediction, in ``.sample``.

        Args:
            sample: (batch, dim).
            timestep: (batch,) or one for all, in [0, 1000).
        """
        times = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))
        waves = (sample.float()[..., None] * self._frequencies).flatten(1)
        seen = torch.cat([sample, waves.sin(), waves.cos(), get_timestep_embedding(times, self._time_features)], dim=1)
        return VelocityMLPOutput(sample=self.layers(seen.to(sample.dtype)))


def build_mlp(config: MLPConfig, shape: tuple[int, ...]) -> VelocityMLP:
    """A fresh network for points of ``shape`` (dim,)."""
    network: VelocityMLP = VelocityMLP(
        in_channels=shape[0],
        width=config.width,
        num_layers=config.num_layers,
        fourier_octaves=config.fourier_octaves,
        longest_wavelength=config.longest_wavelength,
    )
    return network
