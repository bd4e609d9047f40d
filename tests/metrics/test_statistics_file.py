"""Statistics of a benchmark from a file: read, refused, measured against."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.composition import changed
from helpers.coupling_models import student_sampler
from helpers.sweep_setting import EXTRACTOR, NUM_FEATURES, cells, config
from scipy.linalg import sqrtm

from pipeline.config.features import ReferenceFileConfig
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.data.pixels import to_uint8
from pipeline.evaluation.reference import open_file_reference
from pipeline.evaluation.sweep import sweep
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.metrics.statistics_file import read_statistics
from pipeline.models.runtime import Runtime
from pipeline.report.images.summary import describe_measure
from pipeline.system.errors import StraightflowError
from stages import surroundings

RNG = np.random.default_rng(5)
MEAN = RNG.normal(size=NUM_FEATURES)
COVARIANCE = np.cov(RNG.normal(size=(NUM_FEATURES, 40)))


def written(folder: Path, **arrays: np.ndarray) -> ReferenceFileConfig:
    path = folder / "statistics.npz"
    np.savez(path, **arrays)
    return ReferenceFileConfig(file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_distance_is_to_mean_and_covariance_of_the_file(tiny_unet, runtime: Runtime, tmp_path: Path) -> None:
    # ADM's files hold images and other statistics as well.
    file = written(tmp_path, mu=MEAN, sigma=COVARIANCE, arr_0=np.zeros((2, 8, 8, 3), dtype=np.uint8), mu_s=MEAN[:3])
    reference = open_file_reference(file, EXTRACTOR, NUM_FEATURES, runtime, (20, 50))
    assert (reference.split, reference.num_images) == ("file", None)
    sampler = student_sampler(tiny_unet, runtime, tmp_path / "student")
    rows = sweep(sampler, "student", cells(), config(), [reference], tmp_path / "cells").rows
    solvers = [solver for solver, _ in cells()]
    for row, solver in zip(rows, solvers, strict=True):
        noise = sample_noise(stream_key("evaluation", 0), range(66), sampler.shape)
        features = EXTRACTOR.extract(to_uint8(torch.cat([sampler.sample(part, solver).x for part in noise.split(8)])))
        own, offset = np.cov(features.T.astype(np.float64)), features.mean(axis=0, dtype=np.float64) - MEAN
        # Heusel et al. 2017, eq. 6, as it is written.
        expected = offset @ offset + np.trace(own + COVARIANCE - 2 * sqrtm(own @ COVARIANCE).real)
        assert row.fid == pytest.approx(float(expected), rel=1e-4)
        assert row.reference == "file"
        assert {row.kid, row.precision, row.recall, row.density, row.coverage, row.nearest_train_ratio} == {None}
        assert row.fid_heldout is None
    assert "statistics of a file, which does not say of how many images" in describe_measure(rows)


def test_a_file_that_is_not_what_is_named_is_refused(tmp_path: Path) -> None:
    asymmetric, negative = COVARIANCE.copy(), COVARIANCE.copy()
    asymmetric[0, 1] += 0.1
    negative[2, 2] = -1.0
    for arrays, message in (
        ({"mu": MEAN}, "no sigma, among mu"),
        ({"mu": MEAN[:5], "sigma": COVARIANCE}, r"mu of shape \(5,\)"),
        ({"mu": MEAN, "sigma": COVARIANCE[:5]}, r"sigma of shape \(5, 6\)"),
        ({"mu": MEAN.astype(np.float32), "sigma": COVARIANCE}, "mu of float32, and not float64"),
        ({"mu": MEAN * np.nan, "sigma": COVARIANCE}, "not finite in mu"),
        ({"mu": MEAN, "sigma": asymmetric}, "sigma is not symmetric"),
        ({"mu": MEAN, "sigma": negative}, "a variance below 0"),
        ({"mu": MEAN.astype(object), "sigma": COVARIANCE}, "allow_pickle=False"),
    ):
        with pytest.raises(StraightflowError, match=message) as refusal:
            read_statistics(written(tmp_path, **arrays), NUM_FEATURES)
        assert "inception's features" in refusal.value.expected
    file = written(tmp_path, mu=MEAN, sigma=COVARIANCE)
    assert np.allclose(read_statistics(file, NUM_FEATURES).covariance, COVARIANCE, rtol=1e-12)
    with pytest.raises(StraightflowError, match="with the SHA-256 000"):
        read_statistics(file.model_copy(update={"sha256": "0" * 64}), NUM_FEATURES)
    with pytest.raises(StraightflowError, match="a file of statistics, as"):
        read_statistics(file.model_copy(update={"file": str(tmp_path / "absent.npz")}), NUM_FEATURES)
    other = tmp_path / "statistics.npy"
    np.save(other, MEAN)
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    for path, message in ((other, "a single array"), (text, "mu, ")):
        named = ReferenceFileConfig(file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        with pytest.raises(StraightflowError, match=message):
            read_statistics(named, NUM_FEATURES)


ENOUGH = {
    "evaluate.num_samples": 2048, "evaluate.headline.num_samples": 2048, "couplings.round1.num_pairs": 2048,
    "couplings.round2.num_pairs": 2048, "features.judge": None, "features.name": "inception",
}  # fmt: skip


def configured(file: ReferenceFileConfig, **changes: object) -> Config:
    content = changed("smoke", ENOUGH | {"features.reference": file.model_dump()})
    for key, value in changes.items():
        section, _, name = key.partition("__")
        content[section][name] = value
    return parse_config(content, origin="test")


def test_the_check_verifies_the_file(tmp_path: Path) -> None:
    small = written(tmp_path, mu=MEAN, sigma=COVARIANCE)
    features = configured(small).features
    assert (features.reference_file, features.reference_split) == (small, None)
    with pytest.raises(StraightflowError, match=r"mu of shape \(6,\)"):
        surroundings.require_surroundings(configured(small))
    with pytest.raises(StraightflowError, match="with the SHA-256"):
        surroundings.require_surroundings(configured(small.model_copy(update={"sha256": "1" * 64})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features__name": "dinov2"}, "a file of inception's statistics, which features of dinov2"),
        ({"features__judge": {"name": "dinov2"}}, "no statistics by the judge"),
        ({"evaluate__per_class": True}, "compares classes with images, and features.reference is a file"),
    ],
)
def test_what_a_file_cannot_be_compared_with_is_refused(changes, message: str, tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match=message):
        configured(written(tmp_path, mu=MEAN, sigma=COVARIANCE), **changes)


def test_a_hash_is_needed() -> None:
    with pytest.raises(StraightflowError, match=r"features\.reference.*sha256"):
        parse_config(changed("smoke", ENOUGH | {"features.reference": {"file": "a.npz"}}), origin="test")
