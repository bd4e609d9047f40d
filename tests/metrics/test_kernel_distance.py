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
