"""Bytes that a run writes, from its configuration alone."""

from __future__ import annotations

import math

from pipeline.config.graph import Config

_IMAGE_BYTES = {"uint8": 1, "float16": 2, "float32": 4}
_NOISE_BYTES = 2
"""Of the noise that images were inverted to, which no seed gives again: float16."""


def couplings_bytes(config: Config) -> int:
    """Samples of every store, and the noise of pairs that were made from images."""
    size = math.prod(config.data.sample_shape)
    return sum(
        size * (item.num_pairs * _IMAGE_BYTES[item.dtype] + item.num_inverted_pairs * _NOISE_BYTES)
        for item in config.couplings.values()
    )
