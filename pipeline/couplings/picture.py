"""A picture of pairs: noise beside the image it leads to."""

from __future__ import annotations

import torch
from PIL import Image

from pipeline.data.mosaic import mosaic
from pipeline.data.pixels import to_uint8

_GAP = 8
_NOISE_RANGE = 3.0


def draw_pairs(pairs: dict[str, torch.Tensor], *, columns: int = 8, side: int = 64) -> Image.Image:
    """Draws every pair as noise left, image right.

    Args:
        pairs: ``x_0`` and ``x_1``, (batch, channels, height, width); noise is shown from -3 to 3.
        columns: Pairs in a row.
        side: Smallest side of a drawn image in pixels; small images are enlarged by a whole factor.
    """
    both = torch.cat([to_uint8(pairs["x_0"] / _NOISE_RANGE), to_uint8(pairs["x_1"])], dim=3)
    scale = max(1, -(-side // pairs["x_1"].shape[3]))
    return Image.fromarray(mosaic(both.numpy(), columns, scale=scale, gap=_GAP, gap_value=255))
