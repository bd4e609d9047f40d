"""Pixels as the bytes of a PNG file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipeline.data.mosaic import mosaic


def encode_png(pixels: np.ndarray, *, smallest: bool = False) -> bytes:
    """A picture, uint8 (height, width, 3), as PNG.

    Args:
        pixels: The picture.
        smallest: Whether to take longer for a smaller file.
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=smallest)
    return stream.getvalue()


def encode_image(image: np.ndarray) -> bytes:
    """One image, uint8 (channels, height, width) with 1 or 3 channels, as PNG of its own size."""
    return encode_png(mosaic(image[None], 1))
