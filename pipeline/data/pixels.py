"""Pixels: stored in 8 bits, seen by networks in [-1, 1], laid out as one picture."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

StoredType = Literal["uint8", "float16", "float32"]


def to_float(images: torch.Tensor) -> torch.Tensor:
    """u / 127.5 - 1: uint8 in [0, 255] to float32 in [-1, 1], same shape."""
    return images.float() / 127.5 - 1


def to_uint8(x_1: torch.Tensor) -> torch.Tensor:
    """Nearest 8-bit value of images in [-1, 1]; values outside are clamped. Same shape."""
    return ((x_1 + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_stored(x_1: torch.Tensor, dtype: StoredType) -> torch.Tensor:
    """Samples as they are stored: in 8 bits by :func:`to_uint8`, else as floats of ``dtype``. Same shape."""
    return to_uint8(x_1) if dtype == "uint8" else x_1.to(getattr(torch, dtype))


def from_stored(samples: torch.Tensor) -> torch.Tensor:
    """Stored samples as float32: 8-bit ones by :func:`to_float`, floats as they are. Same shape."""
    return to_float(samples) if samples.dtype == torch.uint8 else samples.float()


def mosaic(images: np.ndarray, columns: int, *, scale: int = 1, gap: int = 0, gap_value: int = 0) -> np.ndarray:
    """Lays images out row by row.

    Args:
        images: uint8, (num, channels, height, width) with 1 or 3 channels.
        columns: Images in a row.
        scale: Each pixel becomes ``scale`` × ``scale`` equal ones.
        gap: Pixels between neighbours.
        gap_value: Grey value of gaps and of places without an image.

    Returns:
        uint8, (rows · (height · scale + gap) - gap, columns · (width · scale + gap) - gap, 3).
    """
    colour = np.broadcast_to(images, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1)
    tiles = colour.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = tiles.shape[1] + gap, tiles.shape[2] + gap
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * height, columns * width, 3), gap_value, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height - gap, left : left + width - gap] = tile
    return canvas[: rows * height - gap, : columns * width - gap]
