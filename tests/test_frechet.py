from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import StraightflowError
from pipeline.metrics.frechet import FeatureStatistics, frechet_distance, statistics_of


def test_diagonal_gaussians_have_a_closed_form() -> None:
    a = FeatureStatistics(np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]), 10)
    b = FeatureStatistics(np.array([1.0, 1.0, 0.0]), np.diag([4.0, 4.0, 1.0]), 10)
    # Σ (Δμ)² + Σ (σ_a - σ_b)²
    assert frechet_distance(a, b) == pytest.approx((1 + 0 + 4) + (1 + 0 + 4), abs=1e-6)


def test_full_covariances_agree_with_eigenvalues() -> None:
    generator = np.random.default_rng(0)
    a, b = (statistics_of(generator.normal(size=(200, 6)) @ generator.normal(size=(6, 6))) for _ in range(2))
    cross = np.sqrt(np.linalg.eigvals(a.covariance @ b.covariance).real).sum()
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance) - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(StraightflowError, match="1 of them not finite"):
        statistics_of(np.array([[1.0, 2.0], [np.nan, 0.0], [1.0, 1.0]]))
