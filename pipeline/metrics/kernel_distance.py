"""Kernel distance (KID) between two sets of features (Bińkowski et al. 2018)."""

from __future__ import annotations

import numpy as np


def kernel_distance(
    generated: np.ndarray, reference: np.ndarray, *, num_subsets: int, subset_size: int, rng: np.random.Generator
) -> float:
    """Unbiased squared MMD under the kernel (x·y / num_features + 1)³, averaged over random subsets.

    Args:
        generated: Features, (count, num_features).
        reference: Features, (count, num_features).
        num_subsets: Pairs of subsets drawn; Bińkowski et al. use 100.
        subset_size: Features per subset, ≥ 2, drawn without replacement; capped at the size of the smaller set.
        rng: Draws the subsets.

    Returns:
        0 in expectation when both sets come from one distribution, so it can be negative.
    """
    size = min(subset_size, len(generated), len(reference))
    estimates = [
        _unbiased_mmd(
            generated[rng.choice(len(generated), size, replace=False)].astype(np.float64),
            reference[rng.choice(len(reference), size, replace=False)].astype(np.float64),
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(estimates))


def _unbiased_mmd(x: np.ndarray, y: np.ndarray) -> float:
    size = len(x)
    within = sum(float(kernel.sum() - np.trace(kernel)) for kernel in (_kernel(x, x), _kernel(y, y)))
    return within / (size * (size - 1)) - 2 * float(_kernel(x, y).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    kernel: np.ndarray = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel
