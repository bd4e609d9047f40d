from __future__ import annotations

import numpy as np
import pytest

from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.metrics.uncertainty import distance_at_infinity, jackknife_std

WIDTH, COUNT = 8, 2000
REFERENCE = FrechetReference(Moments(100_000, np.zeros(WIDTH), np.eye(WIDTH) * 99_999))


def draw(seed: int) -> list[Moments]:
    features = np.random.default_rng(seed).normal(0.3, 1, size=(COUNT, WIDTH))
    return [moments_of(part) for part in np.array_split(features, 20)]


def test_the_jackknife_finds_the_spread_between_seeds_from_one_seed() -> None:
    between = np.std([REFERENCE.distance(merge_moments(draw(seed))) for seed in range(60)], ddof=1)
    within = np.mean([jackknife_std(draw(seed), REFERENCE.distance) for seed in range(10)])
    # Each is an estimate: of 60 seeds to about 9 %, of ten jackknives of ten groups to about 8 %.
    assert within == pytest.approx(between, rel=0.4)


def test_extrapolation_removes_the_bias_of_few_samples() -> None:
    exact = WIDTH * 0.3**2  # equal covariances: only the means differ
    at_count = np.array([REFERENCE.distance(merge_moments(draw(seed))) for seed in range(40)])
    found = np.array([distance_at_infinity(draw(seed), REFERENCE.distance) for seed in range(40)], dtype=float)
    bias = at_count.mean() - exact
    assert bias > 3 * at_count.std() / np.sqrt(40)
    assert abs(found.mean() - exact) < max(bias / 2, 3 * found.std() / np.sqrt(40))


def test_too_few_samples_for_the_features_give_no_extrapolation() -> None:
    features = np.random.default_rng(0).normal(size=(20, 30))
    parts = [moments_of(part) for part in np.array_split(features, 10)]
    reference = FrechetReference(moments_of(np.random.default_rng(1).normal(size=(100, 30))))
    assert distance_at_infinity(parts, reference.distance) is None
