from __future__ import annotations

import numpy as np
import pytest
from cleanfid.fid import kernel_distance as cleanfid_kernel_distance

from pipeline.metrics.kernel_distance import kernel_distance


def test_whole_sets_agree_with_clean_fid() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 5)), rng.normal(0.5, 2, size=(60, 5))
    # A subset of every feature leaves nothing to chance.
    ours = kernel_distance(a, b, num_subsets=1, subset_size=60, rng=rng)
    assert ours == pytest.approx(cleanfid_kernel_distance(a, b, num_subsets=1, max_subset_size=60), rel=1e-9)


def test_one_distribution_is_at_zero_within_the_error_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    draws = [
        kernel_distance(rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), num_subsets=1, subset_size=40, rng=rng)
        for _ in range(200)
    ]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(len(draws))
    assert min(draws) < 0


def test_subsets_are_a_function_of_the_generator() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(50, 4)), rng.normal(1, 1, size=(50, 4))
    first, again, other = (
        kernel_distance(a, b, num_subsets=3, subset_size=20, rng=np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    assert first == again != other


def test_blocks_are_the_whole_up_to_rounding_and_one_block_is_numpys_own_sums_to_the_bit() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(40, 3)), rng.normal(0.5, 1, size=(40, 3))

    def measured(**more: int) -> float:
        return kernel_distance(x, y, num_subsets=2, subset_size=30, rng=np.random.default_rng(8), **more)

    expected, drawn = [], np.random.default_rng(8)
    for _ in range(2):
        a, b = (values[drawn.choice(40, 30, replace=False)] for values in (x, y))
        kernels = [(p @ q.T / 3 + 1) ** 3 for p, q in ((a, a), (b, b), (a, b))]
        within = sum(float(kernel.sum() - np.trace(kernel)) for kernel in kernels[:2])
        expected.append(within / (30 * 29) - 2 * float(kernels[2].mean()))
    assert measured() == float(np.mean(expected))
    assert measured(block_bytes=5000) == pytest.approx(measured(), rel=1e-12)
    assert measured(block_bytes=1) == pytest.approx(measured(), rel=1e-12)
