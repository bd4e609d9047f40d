"""A picture of pairs: noise beside the image it leads to."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from pipeline.pixels import to_uint8

_GAP = 2
_NOISE_RANGE = 3.0


def draw_pairs(pairs: dict[str, torch.Tensor], *, columns: int = 8, side: int = 64) -> Image.Image:
    """Draws every pair as noise left, image right.

    Args:
        pairs: ``x_0`` and ``x_1``, (batch, channels, height, width); noise is shown from -3 to 3.
        columns: Pairs in a row.
        side: Smallest side of a drawn image in pixels; small images are enlarged by a whole factor.
    """
    noise, images = to_uint8(pairs["x_0"] / _NOISE_RANGE).numpy(), to_uint8(pairs["x_1"]).numpy()
    scale = max(1, -(-side // images.shape[-1]))
    tiles = [_tile(left, right, scale) for left, right in zip(noise, images, strict=True)]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return Image.fromarray(np.concatenate(rows))


def _tile(noise: np.ndarray, image: np.ndarray, scale: int) -> np.ndarray:
    """RGB, (height, width, 3): both enlarged, with white gaps around."""
    both = np.concatenate([noise, image], axis=2).transpose(1, 2, 0)
    both = np.repeat(both, 3, axis=2) if both.shape[2] == 1 else both
    large = both.repeat(scale, axis=0).repeat(scale, axis=1)
    return np.pad(large, ((_GAP, _GAP), (_GAP, 3 * _GAP), (0, 0)), constant_values=255)
