from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.sweep_setting import EXTRACTOR, extract

from pipeline.data.pixels import to_float, to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.reconstruction import measure_reconstruction
from pipeline.evaluation.reference import open_reference
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import moments_of
from pipeline.metrics.reconstruction_measures import ReconstructionQuality


def images(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)


TRAIN, HELDOUT = SampleSet(images(1, 90), None, "train"), SampleSet(images(2, 50), None, "heldout")


@pytest.fixture
def measure(tmp_path: Path, runtime) -> Callable[[Callable[[torch.Tensor], torch.Tensor]], ReconstructionQuality]:
    reference = open_reference(
        TRAIN, HELDOUT, "train", EXTRACTOR, runtime, feature_counts=(20,), batch_size=64, folder=tmp_path
    )

    def measured(decode: Callable[[torch.Tensor], torch.Tensor]) -> ReconstructionQuality:
        autoencoder = SimpleNamespace(encode=lambda x: x, decode=decode)
        return measure_reconstruction(autoencoder, HELDOUT, [reference], batch_size=16)  # type: ignore[arg-type]

    return measured


def test_an_autoencoder_without_loss_scores_the_floor(measure) -> None:
    found = measure(lambda x: x)
    (row,) = found.rows
    assert (found.num_images, found.mean_squared_error) == (50, 0)
    assert row.fid == row.fid_of_images > 0
    assert row.fid_to_images == pytest.approx(0, abs=1e-9)
    assert (row.features, row.reference, row.is_judge) == (EXTRACTOR.name, "train", False)


def test_numbers_are_those_of_all_reconstructions_at_once(measure) -> None:
    found = measure(lambda x: x / 2)
    (row,) = found.rows
    x = to_float(torch.from_numpy(HELDOUT.samples))
    assert found.mean_squared_error == pytest.approx(float((x / 2).double().square().mean()), rel=1e-6)
    halved, own, train = (
        moments_of(extract(values)) for values in (to_uint8(x / 2), to_uint8(x), torch.from_numpy(TRAIN.samples))
    )
    assert row.fid == pytest.approx(frechet_distance(halved, train), rel=1e-6)
    assert row.fid_of_images == pytest.approx(frechet_distance(own, train), rel=1e-6)
    assert row.fid_to_images == pytest.approx(frechet_distance(halved, own), rel=1e-6)
