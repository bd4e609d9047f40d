"""Bytes that a run writes, from its configuration alone."""

from __future__ import annotations

import math

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.graph import Config

_IMAGE_BYTES = {"uint8": 1, "float16": 2, "float32": 4}
_HALF_BYTES = 2
"""Of float16: the noise that images were inverted to, which no seed gives again, and states of the solver."""


def couplings_bytes(config: Config) -> int:
    """Samples of every store, the noise of pairs that were made from images, and states where they are kept."""
    size = math.prod(config.sample_shape)
    return sum(size * _bytes_an_entry(item) for item in config.couplings.values())


def _bytes_an_entry(couplings: CouplingsConfig) -> int:
    """Of all pairs together, for each entry of a sample."""
    num_states = couplings.solver.steps - 1 if couplings.states else 0
    halves = couplings.num_inverted_pairs + couplings.num_pairs * num_states
    return couplings.num_pairs * _IMAGE_BYTES[couplings.dtype] + halves * _HALF_BYTES
