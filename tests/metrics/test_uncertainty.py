from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student_t

from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.metrics.uncertainty import (
    NUM_PARTS,
    Estimate,
    Jackknifed,
    independent_ratio,
    jackknife,
    paired_ratio,
    standard_error,
)

WIDTH, COUNT = 8, 2000
REFERENCE = FrechetReference(Moments(100_000, np.zeros(WIDTH), np.eye(WIDTH) * 99_999))
EXACT = WIDTH * 0.3**2  # equal covariances: only the means differ


def draw(seed: int, shift: float = 0.3) -> list[Moments]:
    features = np.random.default_rng(seed).normal(shift, 1, size=(COUNT, WIDTH))
    return [moments_of(part) for part in np.array_split(features, NUM_PARTS)]


def one(seed: int, shift: float = 0.3) -> Jackknifed:
    return jackknife([draw(seed, shift)], REFERENCE.distance)


def first_of_mean(moments: Moments) -> float:
    return float(moments.mean[0])


def test_of_a_mean_it_is_the_standard_error_of_the_parts_and_students_interval() -> None:
    parts = draw(0)
    means = np.array([part.mean[0] for part in parts])
    expected = means.std(ddof=1) / math.sqrt(NUM_PARTS)
    found = jackknife([parts], first_of_mean)
    assert found.value == pytest.approx(means.mean())
    assert standard_error(found.deviations, 1) == pytest.approx(expected / found.value)
    assert found.unbiased == pytest.approx(found.value)  # a mean has no bias
    reach = student_t.ppf(0.975, NUM_PARTS - 1) * expected
    assert found.estimate is not None
    assert (found.estimate.low, found.estimate.high) == pytest.approx((means.mean() - reach, means.mean() + reach))


def test_the_interval_holds_the_value_of_other_seeds() -> None:
    # The distance of COUNT samples, over many seeds, is what an interval of one seed is about.
    expected = np.mean([one(seed).value for seed in range(100, 200)])
    intervals = [one(seed).estimate for seed in range(100)]
    held = [item is not None and item.low <= expected <= item.high for item in intervals]
    assert 0.87 <= np.mean(held) <= 1  # 95 of 100, with three standard deviations of 2.2


def test_a_mean_over_chunks_has_the_spread_of_that_mean() -> None:
    chunks = [draw(seed) for seed in range(9)]
    found = jackknife(chunks, REFERENCE.distance)
    values = [REFERENCE.distance(merge_moments(chunk)) for chunk in chunks]
    assert found.value == pytest.approx(np.mean(values))
    between = np.std(values, ddof=1) / 3
    assert (standard_error(found.deviations, 9) or 0) * found.value == pytest.approx(between, rel=0.6)  # nine values
    exactly = math.sqrt(sum((standard_error(one(seed).deviations, 1) * one(seed).value) ** 2 for seed in range(9))) / 9
    assert (standard_error(found.deviations, 9) or 0) * found.value == pytest.approx(exactly)


def test_the_bias_of_few_samples_is_removed() -> None:
    at_count = np.array([one(seed).value for seed in range(40)])
    found = np.array([one(seed).unbiased for seed in range(40)], dtype=float)
    bias = at_count.mean() - EXACT
    assert bias > 3 * at_count.std() / np.sqrt(40)
    assert abs(found.mean() - EXACT) < max(bias / 2, 3 * found.std() / np.sqrt(40))


def test_of_unequal_parts_a_mean_has_the_spread_of_the_parts_means() -> None:
    counts = np.array([10, 30] * (NUM_PARTS // 2))
    features = np.random.default_rng(5).normal(1, 1, size=(counts.sum(), 2))
    parts = np.split(features, np.cumsum(counts)[:-1])
    found = jackknife([[moments_of(part) for part in parts]], first_of_mean)
    # Busing et al. 1999, eq. 8: the pseudo-value of a mean is the part's own mean.
    mean, h = features[:, 0].mean(), counts.sum() / counts
    expected = math.sqrt(np.mean([(part[:, 0].mean() - mean) ** 2 for part in parts] / (h - 1)))
    assert (standard_error(found.deviations, 1) or 0) * found.value == pytest.approx(expected)
    assert found.unbiased == pytest.approx(mean)


def test_a_bias_that_falls_as_one_over_n_is_no_spread_of_unequal_parts() -> None:
    counts = [100, 200, 300, 400] * (NUM_PARTS // 4)
    parts = [moments_of(np.zeros((count, 2))) for count in counts]
    found = jackknife([parts], lambda moments: 2 + 50 / moments.count)
    assert found.value == pytest.approx(2 + 50 / sum(counts))
    assert found.unbiased == pytest.approx(2)
    assert found.deviations == pytest.approx([0] * NUM_PARTS, abs=1e-12)


@pytest.mark.parametrize("per_feature", [2, 4])
def test_few_samples_are_not_extrapolated_from(per_feature: int) -> None:
    width = 20
    features = np.random.default_rng(0).normal(size=(per_feature * width, width))
    reference = FrechetReference(moments_of(np.random.default_rng(1).normal(size=(1000, width))))
    found = jackknife([[moments_of(part) for part in np.array_split(features, NUM_PARTS)]], reference.distance)
    assert found.estimate is not None
    assert (found.at_infinity is None) == (per_feature == 2)


@pytest.mark.parametrize(("count", "width"), [(20, 30), (10, 4)])
def test_too_few_samples_give_no_interval(count: int, width: int) -> None:
    features = np.random.default_rng(0).normal(size=(count, width))
    parts = [moments_of(part) for part in np.array_split(features, min(count, NUM_PARTS))]
    found = jackknife(
        [parts], FrechetReference(moments_of(np.random.default_rng(1).normal(size=(100, width)))).distance
    )
    assert (found.estimate, found.at_infinity, found.deviations) == (None, None, ())


def test_a_distance_of_zero_has_no_relative_spread() -> None:
    assert jackknife([draw(0)], lambda _: 0.0) == Jackknifed(0.0, (), None, 1)


def test_an_independent_ratio_adds_relative_spreads_in_squares() -> None:
    found = independent_ratio(Estimate(6.0, 5.4, 6.6), Estimate(2.0, 1.6, 2.4))
    reach = math.sqrt(0.1**2 + 0.2**2)
    assert found.value == 3
    assert (found.low, found.high) == pytest.approx((3 * math.exp(-reach), 3 * math.exp(reach)))


def test_what_the_same_noises_did_to_both_cancels_in_a_ratio() -> None:
    # The same draws, moved by 0.3 and by 0.33: both distances move together.
    a, b = one(0, 0.33), one(0, 0.3)
    paired = paired_ratio(a.value, b.value, a.deviations, b.deviations, 1)
    assert a.estimate is not None
    assert b.estimate is not None
    independent = independent_ratio(a.estimate, b.estimate)
    assert paired.value == independent.value == a.value / b.value
    assert paired.high - paired.low < 0.3 * (independent.high - independent.low)
    ratios = [one(seed, 0.33).value / one(seed, 0.3).value for seed in range(60)]
    error = (paired.high - paired.low) / 2 / student_t.ppf(0.975, NUM_PARTS - 1)
    assert error == pytest.approx(np.std(ratios, ddof=1), rel=0.5)  # of twenty parts
    same = paired_ratio(a.value, a.value, a.deviations, a.deviations, 1)
    assert same == Estimate(1.0, 1.0, 1.0)
