"""Between stored 8-bit images and the range [-1, 1] that networks see."""

from __future__ import annotations

import torch


def to_float(images: torch.Tensor) -> torch.Tensor:
    """u / 127.5 - 1: uint8 in [0, 255] to float32 in [-1, 1], same shape."""
    return images.float() / 127.5 - 1


def to_uint8(x_1: torch.Tensor) -> torch.Tensor:
    """Nearest 8-bit value of images in [-1, 1]; values outside are clamped. Same shape."""
    return ((x_1 + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
