"""Autoencoders of every kind that cost a test next to nothing: 8×8 images of a channel to latents of half the side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ModelMixin, VQModel

LATENT_CHANNELS, DOWNSAMPLING = 2, 2
_TWO = ("DownEncoderBlock2D", "DownEncoderBlock2D"), ("UpDecoderBlock2D", "UpDecoderBlock2D")
_BLOCKS = {
    "block_out_channels": (4, 8),
    "down_block_types": _TWO[0],
    "up_block_types": _TWO[1],
    "norm_num_groups": 2,
    "sample_size": 8,
}
_TINY = {
    "encoder_block_out_channels": (4, 4),
    "decoder_block_out_channels": (4, 4),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
}
_CLASSES = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny, "VQModel": VQModel}
SETTINGS: dict[str, dict[str, Any]] = {
    "AutoencoderKL": _BLOCKS | {"scaling_factor": 0.5},
    "AutoencoderTiny": _TINY,
    "VQModel": _BLOCKS | {"num_vq_embeddings": 16, "scaling_factor": 2.0},
}


def small_autoencoder(kind: str = "AutoencoderKL", **changes: Any) -> ModelMixin:
    """A fresh one, always with the same weights."""
    common = {"in_channels": 1, "out_channels": 1, "latent_channels": LATENT_CHANNELS}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network: ModelMixin = _CLASSES[kind](**common | SETTINGS[kind] | changes).eval()
    return network


def with_autoencoder(folder: Path, kind: str = "AutoencoderKL", **changes: Any) -> Path:
    """``folder``, where one was saved as something of latents holds it."""
    small_autoencoder(kind, **changes).save_pretrained(folder / "vae")
    return folder
