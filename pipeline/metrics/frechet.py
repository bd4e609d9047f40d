"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cleanfid.fid import frechet_distance as clean_fid_distance

from pipeline.errors import StraightflowError


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean (num_features,) and covariance (num_features, num_features) of ``num_samples`` features."""

    mean: np.ndarray
    covariance: np.ndarray
    num_samples: int


def statistics_of(features: np.ndarray) -> FeatureStatistics:
    """Statistics of features (num_samples, num_features), in float64.

    Raises:
        StraightflowError: If features are not finite or there are fewer than two samples.
    """
    if len(features) < 2 or not np.isfinite(features).all():
        raise StraightflowError(
            expected="finite features of at least two samples",
            found=f"{len(features)} samples, {int((~np.isfinite(features)).any(axis=1).sum())} of them not finite",
            mend="check the model that made the images",
        )
    exact = features.astype(np.float64)
    return FeatureStatistics(exact.mean(axis=0), np.atleast_2d(np.cov(exact, rowvar=False)), len(exact))


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """‖μ_a - μ_b‖² + Tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^{1/2}), by clean-fid."""
    return float(clean_fid_distance(a.mean, a.covariance, b.mean, b.covariance))
