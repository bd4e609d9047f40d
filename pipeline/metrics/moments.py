"""Mean and covariance of features, computed part by part; the parts' moments merge into those of the whole."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.system.blocks import BLOCK_BYTES, row_blocks
from pipeline.system.errors import StraightflowError

_DOUBLE = 8


@dataclass(frozen=True)
class Moments:
    """First two moments of ``count`` features, in float64.

    Attributes:
        count: Number of features.
        mean: (num_features,).
        scatter: Sum of (f - mean)(f - mean)ᵀ, (num_features, num_features).
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def num_features(self) -> int:
        """Dimension of a feature vector."""
        return len(self.mean)

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance, (num_features, num_features); needs ``count`` ≥ 2."""
        covariance: np.ndarray = self.scatter / (self.count - 1)
        return covariance


def moments_of(features: np.ndarray, *, block_bytes: int = BLOCK_BYTES) -> Moments:
    """Moments of features (count, num_features), count ≥ 1.

    Features that cost more than ``block_bytes`` are measured in blocks and merged, the same up to rounding.

    Raises:
        StraightflowError: If a feature is not finite.
    """
    blocks = list(row_blocks(len(features), 2 * _DOUBLE * features.shape[1], block_bytes=block_bytes))
    broken = sum(int((~np.isfinite(features[rows])).any(axis=1).sum()) for rows in blocks)
    if broken:
        raise StraightflowError(
            expected=f"finite features of {len(features)} images",
            found=f"{broken} of them not finite",
            mend="check the model that made the images, or set compute.precision: fp32",
        )
    measured = (_moments_of_block(features[rows]) for rows in blocks)
    return functools.reduce(lambda whole, part: merge_moments((whole, part)), measured)


def _moments_of_block(features: np.ndarray) -> Moments:
    exact = features.astype(np.float64)
    mean = exact.mean(axis=0)
    deviations = exact - mean
    return Moments(len(exact), mean, deviations.T @ deviations)


def merge_moments(parts: Iterable[Moments]) -> Moments:
    """Moments of all parts together (Chan, Golub & LeVeque 1983); the order of parts matters to rounding only."""
    parts = list(parts)
    count = sum(part.count for part in parts)
    mean = sum((part.mean * (part.count / count) for part in parts), np.zeros_like(parts[0].mean))
    scatter = np.zeros_like(parts[0].scatter)
    for part in parts:
        offset = part.mean - mean
        scatter += part.scatter
        scatter += part.count * np.outer(offset, offset)
    return Moments(count, mean, scatter)
