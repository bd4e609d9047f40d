from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.sweep_setting import EXTRACTOR, comparable, config, extract, reference, run_sweep

from pipeline.data.order import evenly_spaced
from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.reference import Reference, open_reference
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.kernel_distance import KernelReference, kernel_distance
from pipeline.metrics.moments import moments_of
from pipeline.metrics.neighbours import neighbour_measures
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student


@pytest.fixture
def folder(tmp_path: Path, tiny_unet) -> Path:
    torch.set_num_threads(1)
    save_student(tiny_unet, tmp_path / "student")
    return tmp_path


def reference_of(train: np.ndarray, heldout: np.ndarray, folder: Path, runtime, counts: tuple[int, ...]) -> Reference:
    sets = (SampleSet(images, None, name) for images, name in ((train, "train"), (heldout, "heldout")))
    return open_reference(
        *sets, "train", EXTRACTOR, runtime, feature_counts=counts, batch_size=64, folder=folder / "references"
    )


def test_metrics_are_of_as_many_samples_as_their_rows_say(folder: Path, runtime) -> None:
    row = run_sweep(folder, runtime).rows[0]
    assert (row.kid_samples, row.neighbour_samples) == (50, 20)
    sampler = load_sampler(folder / "student", runtime)
    noise = sample_noise(stream_key("evaluation", 0), range(66), sampler.shape)
    generated = torch.from_numpy(extract(to_uint8(sampler.sample(noise, config().solvers(teacher=False)[0]).x)))
    training = np.random.default_rng(1).integers(0, 256, (90, 1, 8, 8), dtype=np.uint8)
    real = torch.from_numpy(extract(torch.from_numpy(training))).double()
    kid = kernel_distance(generated[:50], KernelReference.of(real[evenly_spaced(90, 50)]))
    assert (row.kid, row.kid_std) == pytest.approx((kid.value, kid.standard_error), rel=1e-5)
    neighbours = neighbour_measures(generated[:20], real[evenly_spaced(90, 20)], 3)
    assert (row.precision, row.recall, row.density, row.coverage) == (
        neighbours.precision, neighbours.recall, neighbours.density, neighbours.coverage,
    )  # fmt: skip


def test_what_is_shown_changes_no_number(folder: Path, runtime) -> None:
    few, many = (run_sweep(folder, runtime, grid_images=count) for count in (1, 66))
    assert comparable(few) == comparable(many)
    assert [len(found.images["euler/1"]) for found in (few, many)] == [1, 66]


def test_a_count_of_one_metric_changes_no_features_of_another(folder: Path, runtime) -> None:
    training = np.random.default_rng(2).integers(0, 256, (90, 1, 8, 8), dtype=np.uint8)
    for counts in ((20,), (20, 33), (7, 20, 500)):
        found = reference_of(training, training[:30], folder, runtime, counts)
        expected = extract(torch.from_numpy(training[evenly_spaced(90, 20)]))
        assert np.allclose(found.features_of(20).numpy(), expected, atol=1e-5)
    assert len(found.features_of(500)) == 90
    with pytest.raises(ValueError, match="33 images"):
        found.features_of(33)


def test_the_floor_of_the_heldout_distance_is_what_the_training_split_scores(folder: Path, runtime) -> None:
    rng = np.random.default_rng(1)
    train, heldout = (rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8) for count in (90, 30))
    moments = [moments_of(extract(torch.from_numpy(images))) for images in (train, heldout)]
    row = run_sweep(folder, runtime).rows[0]
    assert row.fid_heldout_floor == pytest.approx(frechet_distance(*moments), rel=1e-4)
    few = reference_of(train, heldout[:6], folder, runtime, (20,))  # as many images as features
    assert (few.heldout, few.heldout_floor) == (None, None)
    assert reference(folder, runtime).heldout_floor == row.fid_heldout_floor


def test_a_heldout_split_sorted_by_class_measures_a_perfect_model_at_one(tmp_path: Path, runtime) -> None:
    # The first class is nearly flat, so its images are close to each other; those of the second are far apart.
    rng = np.random.default_rng(3)

    def draw(count: int) -> np.ndarray:
        near = rng.integers(100, 103, (2 * count // 5, 1, 8, 8), dtype=np.uint8)
        far = rng.integers(0, 256, (3 * count // 5, 1, 8, 8), dtype=np.uint8)
        return np.concatenate([near, far])

    found = reference_of(draw(800), draw(2000), tmp_path, runtime, (20,))
    generated = draw(500)
    ratio = found.median_nearest(generated) / found.heldout_nearest
    assert ratio == pytest.approx(1, abs=0.05)
