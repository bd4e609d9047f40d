"""Kernel distance (KID) between two sets of features (Bińkowski et al. 2018)."""

from __future__ import annotations

import numpy as np

from pipeline.system.blocks import BLOCK_BYTES, row_blocks

_DOUBLE = 8
_MATRICES = 3  # products, their quotients and their powers


def kernel_distance(
    generated: np.ndarray,
    reference: np.ndarray,
    *,
    num_subsets: int,
    subset_size: int,
    rng: np.random.Generator,
    block_bytes: int = BLOCK_BYTES,
) -> float:
    """Unbiased squared MMD under the kernel (x·y / num_features + 1)³, averaged over random subsets.

    Args:
        generated: Features, (count, num_features).
        reference: Features, (count, num_features).
        num_subsets: Pairs of subsets drawn; Bińkowski et al. use 100.
        subset_size: Features per subset, ≥ 2, drawn without replacement; capped at the size of the smaller set.
        rng: Draws the subsets.
        block_bytes: What the kernel's matrix may cost at a time; blocks change its sums by rounding.

    Returns:
        0 in expectation when both sets come from one distribution, so it can be negative.
    """
    size = min(subset_size, len(generated), len(reference))
    estimates = [
        _unbiased_mmd(
            generated[rng.choice(len(generated), size, replace=False)].astype(np.float64),
            reference[rng.choice(len(reference), size, replace=False)].astype(np.float64),
            block_bytes,
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(estimates))


def _unbiased_mmd(x: np.ndarray, y: np.ndarray, block_bytes: int) -> float:
    size = len(x)
    within = sum(
        total - diagonal for total, diagonal in (_kernel_sums(values, values, block_bytes) for values in (x, y))
    )
    between, _ = _kernel_sums(x, y, block_bytes)
    return within / (size * (size - 1)) - 2 * (between / size**2)


def _kernel_sums(x: np.ndarray, y: np.ndarray, block_bytes: int) -> tuple[float, float]:
    """Sums of all entries of the kernel's matrix and of its diagonal, computed for blocks of rows."""
    total = diagonal = 0.0
    for rows in row_blocks(len(x), _MATRICES * _DOUBLE * len(y), block_bytes=block_bytes):
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        total += float(kernel.sum())
        diagonal += float(np.trace(kernel[:, rows]))
    return total, diagonal
