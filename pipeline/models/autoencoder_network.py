"""diffusers' ``AutoencoderKL`` as it is trained here: one call gives the reconstruction and the posterior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils import BaseOutput

from pipeline.config.autoencoder_network import AutoencoderNetworkConfig
from pipeline.system.random_state import seeded


@dataclass
class Reconstructed(BaseOutput):
    """What :class:`TrainableAutoencoder` makes of a batch of images.

    Attributes:
        sample: Reconstructions, (batch, channels, height, width).
        moments: Mean and logarithm of the variance of the posterior, one after the other, (batch, 2 · latent channels,
            latent height, latent width).
    """

    sample: torch.Tensor
    moments: torch.Tensor | None = None


class TrainableAutoencoder(AutoencoderKL):
    """An ``AutoencoderKL`` whose call takes the posterior's noise and returns its moments beside the reconstruction.

    The stock call draws its noise itself and keeps the posterior for itself; a wrapper for several processes sees no
    other call. Weights and their names are the stock network's, see :func:`stock_autoencoder`.
    """

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the images that it takes."""
        size = self.config["sample_size"]
        height, width = (size, size) if isinstance(size, int) else size
        return int(self.config["in_channels"]), int(height), int(width)

    def forward(self, sample: torch.Tensor, noise: torch.Tensor) -> Reconstructed:
        """Decodes the posterior's mean plus its standard deviation times ``noise``.

        Args:
            sample: Images in [-1, 1], (batch, channels, height, width).
            noise: Of the shape of the latents, or of one that broadcasts to it.
        """
        moments = self._encode(sample)
        posterior = DiagonalGaussianDistribution(moments)
        return Reconstructed(self._decode(posterior.mean + posterior.std * noise).sample, moments)


def build_autoencoder(
    config: AutoencoderNetworkConfig, image_shape: tuple[int, int, int], latent_channels: int, seed: int
) -> TrainableAutoencoder:
    """A fresh one for images of ``image_shape`` (channels, height, width), its weights drawn from ``seed``.

    Its scaling factor is 1, as latents get unit scale by its own weights, see :mod:`pipeline.models.unit_latents`.
    """
    channels, height, width = image_shape
    levels = len(config.block_out_channels)
    with seeded(seed):
        return TrainableAutoencoder(
            in_channels=channels,
            out_channels=channels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            norm_num_groups=config.norm_num_groups,
            latent_channels=latent_channels,
            sample_size=height if height == width else (height, width),
            scaling_factor=1.0,
            force_upcast=False,
        )


def stock_autoencoder(network: TrainableAutoencoder) -> AutoencoderKL:
    """The stock network with the settings and the weights of ``network``, on its device, to be saved."""
    settings = {name: value for name, value in network.config.items() if not name.startswith("_")}
    with seeded(0):
        stock = AutoencoderKL(**settings)
    stock.load_state_dict(network.state_dict())
    return stock.to(network.device).eval()
