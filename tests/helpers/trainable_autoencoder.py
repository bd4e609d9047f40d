"""An autoencoder to be trained, of two levels, that costs a test next to nothing."""

from __future__ import annotations

from pipeline.config.autoencoder_network import AutoencoderNetworkConfig
from pipeline.models.autoencoder_network import TrainableAutoencoder, build_autoencoder

SMALL_AUTOENCODER = AutoencoderNetworkConfig(block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4)


def trainable_autoencoder() -> TrainableAutoencoder:
    """A fresh one for 8×8 images of a channel and 2×4×4 latents, always with the same weights."""
    return build_autoencoder(SMALL_AUTOENCODER, (1, 8, 8), 2, seed=0)
