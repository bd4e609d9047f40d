from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.fid import kernel_distance as cleanfid_kernel_distance

from pipeline.metrics.kernel_distance import KernelDistance, KernelReference, kernel_distance
from pipeline.system.errors import StraightflowError


def measured(generated: np.ndarray, reference: np.ndarray, **more: int) -> KernelDistance:
    return kernel_distance(torch.from_numpy(generated), KernelReference.of(torch.from_numpy(reference), **more))


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Bińkowski et al. 2018, eq. 4, of features that are divided already."""
    within = 0.0
    for values in (x, y):
        kernel = (values @ values.T / values.shape[1] + 1) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (len(values) * (len(values) - 1))
    return within - 2 * float(((x @ y.T / x.shape[1] + 1) ** 3).mean())


def test_divided_features_agree_with_clean_fid() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 5)), rng.normal(0.5, 2, size=(60, 5))
    b = b / b.std(axis=0, ddof=1)
    # A subset of every feature leaves nothing to chance.
    assert measured(a, b).value == pytest.approx(
        cleanfid_kernel_distance(a, b, num_subsets=1, max_subset_size=60), rel=1e-9
    )


@pytest.mark.parametrize(("num_generated", "num_reference"), [(45, 30), (13, 60), (3, 2)])
def test_all_pairs_count_and_the_error_is_that_of_leaving_a_part_out(num_generated: int, num_reference: int) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(num_generated, 6)) * 3, rng.normal(1, 2, size=(num_reference, 6))
    found = measured(x, y)
    scales = y.std(axis=0, ddof=1)
    x, y = x / scales, y / scales
    assert found.value == pytest.approx(by_definition(x, y), rel=1e-9)
    edges = list(np.array_split(np.arange(num_generated), min(20, num_generated)))
    left_out = np.array([by_definition(np.delete(x, rows, axis=0), y) for rows in edges])
    variance = (len(edges) - 1) / len(edges) * np.square(left_out - left_out.mean()).sum()
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-7)
    assert (found.num_samples, found.num_constant_features) == (num_generated, 0)


def test_moments_and_pairs_are_two_ways_to_one_sum() -> None:
    # 3 features and 100 of them are summed as moments, but not if these may cost nothing.
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(70, 3)), rng.normal(0.5, 1, size=(30, 3))
    moments, pairs = measured(x, y), measured(x, y, block_bytes=1)
    assert moments.value == pytest.approx(pairs.value, rel=1e-9)
    assert moments.standard_error == pytest.approx(pairs.standard_error, rel=1e-9)
    scales = y.std(axis=0, ddof=1)
    assert moments.value == pytest.approx(by_definition(x / scales, y / scales), rel=1e-9)


def test_one_distribution_is_at_zero_and_the_error_is_the_spread_of_draws() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(20_000, 3))
    draws = [measured(rng.normal(size=(200, 3)), reference) for _ in range(150)]
    values = np.array([draw.value for draw in draws])
    assert values.min() < 0
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
    # Of samples that differ, where the error is of first order, the mean variance is the variance of draws.
    shifted = [measured(rng.normal(0.5, 1, size=(200, 3)), reference) for _ in range(150)]
    spread = np.std([draw.value for draw in shifted], ddof=1)
    assert np.sqrt(np.mean([draw.standard_error**2 for draw in shifted])) == pytest.approx(spread, rel=0.2)


def test_the_scale_of_a_feature_changes_nothing_and_one_that_is_constant_is_left_out() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(50, 4)), rng.normal(1, 1, size=(40, 4))
    plain = measured(x, y)
    scales = np.array([1e-3, 1.0, 1e4, 7.0])
    assert measured(x * scales, y * scales).value == pytest.approx(plain.value, rel=1e-9)
    dead = (np.concatenate([values, np.full((len(values), 1), 5.0)], axis=1) for values in (x + 0, y))
    found = measured(*dead)
    assert found.num_constant_features == 1
    assert found.value == pytest.approx(plain.value, rel=1e-9)


@pytest.mark.parametrize("block_bytes", [2**28, 1])
def test_one_reference_serves_many_sets_as_its_own_would(block_bytes: int) -> None:
    rng = np.random.default_rng(5)
    y = torch.from_numpy(rng.normal(1, 2, size=(60, 4)))
    shared = KernelReference.of(y, block_bytes=block_bytes)
    for count in (40, 7, 40):
        x = torch.from_numpy(rng.normal(size=(count, 4)))
        assert kernel_distance(x, shared) == kernel_distance(x, KernelReference.of(y, block_bytes=block_bytes))


def test_too_few_features_are_refused() -> None:
    with pytest.raises(StraightflowError, match=r"at least 3 generated(.|\n)*found: 2"):
        kernel_distance(torch.rand(2, 2), KernelReference.of(torch.rand(9, 2)))
    with pytest.raises(StraightflowError, match=r"at least two images of the reference(.|\n)*found: 1"):
        KernelReference.of(torch.rand(1, 2))


def test_a_reference_that_does_not_vary_is_refused() -> None:
    with pytest.raises(StraightflowError, match=r"features that vary(.|\n)*2 that are all constant"):
        KernelReference.of(torch.ones(9, 2))
