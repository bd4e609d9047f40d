"""An autoencoder of two levels that costs a test next to nothing."""

from __future__ import annotations

from pipeline.config.autoencoder_network import AutoencoderNetworkConfig
from pipeline.models.autoencoder_network import TrainableAutoencoder, build_autoencoder

SMALL_AUTOENCODER = AutoencoderNetworkConfig(block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4)


def small_autoencoder(
    image_shape: tuple[int, int, int] = (1, 8, 8), latent_channels: int = 2, seed: int = 0
) -> TrainableAutoencoder:
    """A fresh one that halves sides, always with the same weights."""
    return build_autoencoder(SMALL_AUTOENCODER, image_shape, latent_channels, seed)
