"""Distances between sets of points, (num, dim): sliced Wasserstein and energy distance."""

from __future__ import annotations

import numpy as np
import torch


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, *, num_projections: int, seed: int) -> float:
    """Sliced 2-Wasserstein distance of two sets of equally many points (Bonneel et al. 2015), in units of x.

    Square root of the mean, over random directions, of the squared 2-Wasserstein distance of the projections, which
    pairs them by rank. With dim = 1 it is the exact distance, and ``num_projections`` has no effect.

    Args:
        x: (num, dim).
        y: (num, dim).
        num_projections: Directions, uniform on the sphere.
        seed: Draws the directions.

    Raises:
        ValueError: If the sets do not have the same shape.
    """
    if x.shape != y.shape:
        raise ValueError(f"expected sets of one shape, found {x.shape} and {y.shape}")
    dim = x.shape[1]
    directions = np.random.default_rng(seed).standard_normal((dim, num_projections)) if dim > 1 else np.ones((1, 1))
    directions /= np.linalg.norm(directions, axis=0)
    squares = [
        np.mean((np.sort(x.astype(np.float64) @ direction) - np.sort(y.astype(np.float64) @ direction)) ** 2)
        for direction in directions.T
    ]
    return float(np.sqrt(np.mean(squares)))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """sqrt(2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖) of two empirical distributions (Székely & Rizzo 2013); 0 if equal.

    In one dimension it is ``scipy.stats.energy_distance``. Time and memory grow with the product of the counts.

    Args:
        x: (num, dim).
        y: (other num, dim).
    """
    first, second = torch.from_numpy(x).double(), torch.from_numpy(y).double()
    across, within_x, within_y = (
        float(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").mean())
        for a, b in ((first, second), (first, first), (second, second))
    )
    return float(np.sqrt(max(0.0, 2 * across - within_x - within_y)))
