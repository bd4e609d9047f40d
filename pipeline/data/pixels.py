"""Converts samples between what is stored, such as 8-bit images, and what networks see, images in [-1, 1]."""

from __future__ import annotations

from typing import Literal

import torch

StoredType = Literal["uint8", "float16", "float32"]


def to_float(images: torch.Tensor) -> torch.Tensor:
    """u / 127.5 - 1: uint8 in [0, 255] to float32 in [-1, 1], same shape."""
    return images.float() / 127.5 - 1


def to_uint8(x_1: torch.Tensor) -> torch.Tensor:
    """Nearest 8-bit value of finite images in [-1, 1]; values outside are clamped. Same shape.

    Each operation is rounded as IEEE 754 says, so every device gives the same bytes, unless a compiler fuses the sum
    and the product: it runs outside of compiled networks.
    """
    return (x_1 + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def to_stored(x_1: torch.Tensor, dtype: StoredType) -> torch.Tensor:
    """Samples as they are stored: in 8 bits by :func:`to_uint8`, else as floats of ``dtype``. Same shape."""
    return to_uint8(x_1) if dtype == "uint8" else x_1.to(getattr(torch, dtype))


def from_stored(samples: torch.Tensor) -> torch.Tensor:
    """Stored samples as float32: 8-bit ones by :func:`to_float`, floats as they are. Same shape."""
    return to_float(samples) if samples.dtype == torch.uint8 else samples.float()
