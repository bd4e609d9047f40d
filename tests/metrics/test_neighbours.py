from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.metrics.neighbours import nearest_distances, neighbour_measures
from pipeline.models.live_memory import LiveBytes
from pipeline.system.errors import StraightflowError

CPU = torch.device("cpu")


def test_measures_follow_their_definitions_point_by_point() -> None:
    rng = np.random.default_rng(0)
    fake, real, k = rng.normal(0.4, 1, (40, 3)), rng.normal(size=(30, 3)), 3

    def radius(point: np.ndarray, points: np.ndarray) -> float:
        return sorted(np.linalg.norm(points - point, axis=1))[k]

    real_radii = [radius(point, real) for point in real]
    fake_radii = [radius(point, fake) for point in fake]
    inside = [[np.linalg.norm(f - r) < radius_r for r, radius_r in zip(real, real_radii, strict=True)] for f in fake]
    found = neighbour_measures(torch.from_numpy(fake), torch.from_numpy(real), k)
    assert found.precision == pytest.approx(np.mean([any(balls) for balls in inside]))
    assert found.density == pytest.approx(np.mean([sum(balls) / k for balls in inside]))
    assert found.coverage == pytest.approx(np.mean(np.any(inside, axis=0)))
    recalled = [any(np.linalg.norm(f - r) < s for f, s in zip(fake, fake_radii, strict=True)) for r in real]
    assert found.recall == pytest.approx(np.mean(recalled))


def test_two_far_clusters_and_one_shared_set_are_the_extremes() -> None:
    points = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 2)))
    apart = neighbour_measures(points + 100, points, 5)
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0, 0, 0, 0)
    same = neighbour_measures(points, points, 5)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)


@pytest.mark.parametrize(("num_generated", "num_reference"), [(5, 9), (9, 5), (1, 9)])
def test_sets_without_a_kth_neighbour_are_refused(num_generated: int, num_reference: int) -> None:
    generated, reference = torch.zeros(num_generated, 2), torch.zeros(num_reference, 2)
    message = rf"more than 5 images(.|\n)*{num_generated} generated and {num_reference} of the reference"
    with pytest.raises(StraightflowError, match=message):
        neighbour_measures(generated, reference, 5)


def test_a_dropped_mode_costs_recall_and_coverage_but_not_precision() -> None:
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 50
    found = neighbour_measures(
        torch.from_numpy(rng.normal(size=(200, 2))), torch.from_numpy(np.concatenate([left, right])), 5
    )
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_copies_of_training_images_are_at_distance_zero() -> None:
    rng = np.random.default_rng(3)
    training = rng.integers(0, 256, (70, 3, 4, 4), dtype=np.uint8)
    shifted = training[5:6].copy()
    shifted[0, 0, 0, 0] ^= 1
    found = nearest_distances(np.concatenate([training[:2], shifted]), training, CPU, block_bytes=16 * 3 * 48 * 8)
    assert found.tolist() == [0, 0, 1]


@pytest.mark.parametrize("block_bytes", [1, 5000, 40_000])
def test_blocks_change_no_bit_of_a_distance_between_images(block_bytes: int) -> None:
    rng = np.random.default_rng(4)
    images, training = (rng.integers(0, 256, (num, 1, 8, 8), dtype=np.uint8) for num in (30, 70))
    differences = images[:, None].astype(np.int64) - training[None].astype(np.int64)
    expected = np.sqrt((differences**2).sum(axis=(2, 3, 4)).min(axis=1).astype(np.float64))
    whole = nearest_distances(images, training, CPU)
    assert whole.tolist() == expected.tolist()
    assert torch.equal(nearest_distances(images, training, CPU, block_bytes=block_bytes), whole)


def test_large_images_are_compared_within_the_bytes_given() -> None:
    rng = np.random.default_rng(5)
    images, training = (rng.integers(0, 256, (num, 3, 64, 64), dtype=np.uint8) for num in (20, 40))
    with LiveBytes() as live:
        nearest_distances(images, training, CPU, block_bytes=2**20)
    # A block of either, 98,304 bytes an image and as much for its squares; all at once would take 6 MB.
    assert max(live.after_operations) < 2 * 2**20


@pytest.mark.parametrize("block_bytes", [1, 3000])
def test_blocks_change_measures_of_features_by_nothing(block_bytes: int) -> None:
    rng = np.random.default_rng(6)
    generated, reference = torch.from_numpy(rng.normal(size=(60, 4))), torch.from_numpy(rng.normal(size=(50, 4)))
    whole = neighbour_measures(generated, reference, 3)
    assert neighbour_measures(generated, reference, 3, block_bytes=block_bytes) == whole
