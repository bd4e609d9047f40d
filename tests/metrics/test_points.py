from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import energy_distance as scipy_energy_distance
from scipy.stats import wasserstein_distance

from pipeline.metrics.points import energy_distance, sliced_wasserstein


def points(seed: int, num: int, dim: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((num, dim)).astype(np.float32)


def test_a_shift_is_seen_through_its_mean_square_projection() -> None:
    """The projections of x + s differ from those of x by s·θ, and E (s·θ)² = ‖s‖²/d on the sphere."""
    x, shift = points(0, 500, 2), np.array([3.0, 4.0])
    found = sliced_wasserstein(x, x + shift, num_projections=4000, seed=0)
    assert found == pytest.approx(5 / 2**0.5, rel=0.03)
    assert sliced_wasserstein(x, x[::-1], num_projections=50, seed=0) == 0


def test_in_one_dimension_it_is_the_distance_of_sorted_points() -> None:
    x, y = points(0, 300, 1), 2 * points(1, 300, 1) + 1
    expected = np.sqrt(np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2))
    assert sliced_wasserstein(x, y, num_projections=1, seed=0) == pytest.approx(expected)
    assert sliced_wasserstein(x, y, num_projections=1, seed=0) >= wasserstein_distance(x[:, 0], y[:, 0])


def test_sets_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        sliced_wasserstein(points(0, 10, 2), points(0, 11, 2), num_projections=1, seed=0)


def test_energy_distance_is_scipys_in_one_dimension() -> None:
    x, y = points(2, 200, 1), points(3, 150, 1) + 0.5
    assert energy_distance(x, y) == pytest.approx(scipy_energy_distance(x[:, 0], y[:, 0]), rel=1e-6)


def test_energy_distance_of_single_points_is_the_root_of_twice_their_distance() -> None:
    assert energy_distance(np.zeros((1, 2)), np.array([[3.0, 4.0]])) == pytest.approx(10**0.5)
    assert energy_distance(points(4, 50, 2), points(4, 50, 2)) == pytest.approx(0, abs=1e-6)
