"""Images laid out as one picture."""

from __future__ import annotations

import numpy as np


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


def mosaic_bytes(num: int, shape: tuple[int, ...], *, scale: int = 1, gap: int = 0) -> int:
    """Bytes that :func:`mosaic` takes for ``num`` images of ``shape`` (channels, height, width), with its result."""
    _, height, width = shape
    tiles = height * width * scale * (1 + scale)  # enlarged in one direction, then in both
    return 3 * num * (tiles + (height * scale + gap) * (width * scale + gap))
