"""A UNet of two levels that costs a test next to nothing."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel

ONE_LEVEL = {"block_out_channels": (8,), "down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
"""Settings of half of its layers, where each of them costs time."""


def small_unet(channels: int = 1, **changes: Any) -> UNet2DModel:
    """A fresh one for 8×8 images, always with the same weights."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(**settings | changes).eval()
