"""The classes of a class-conditional model one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.composition import changed
from helpers.coupling_models import student_sampler
from helpers.small_unet import small_unet
from helpers.sweep_setting import EXTRACTOR, cells, config, reference
from scipy.linalg import sqrtm

from pipeline.config.class_measuring import solver_shown
from pipeline.config.classes import classes_needed_by
from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.loading import parse_config
from pipeline.config.planned_measuring import planned_measuring
from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.by_class import require_class_fids
from pipeline.evaluation.images import ImageMeasure
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.metrics.class_measures import CLASS_GRID
from pipeline.models.networks import set_null_class
from pipeline.models.sampler import Sampler
from pipeline.system.code import NO_CODE
from pipeline.system.errors import StraightflowError

ONE_STEP = SolverConfig(name="euler", num_steps=1)


@pytest.fixture
def sampler(runtime, tmp_path: Path) -> Sampler:
    """A student of two classes and one for none."""
    network = small_unet(num_class_embeds=3)
    set_null_class(network, 2)
    return student_sampler(network, runtime, tmp_path / "conditional")


def real_images() -> SampleSet:
    """Seven images of class 0 and nine of class 1."""
    pixels = np.random.default_rng(3).integers(256, size=(16, 1, 8, 8), dtype=np.uint8)
    return SampleSet(pixels, np.array([0] * 7 + [1] * 9, dtype=np.int64), "real")


def measure(folder: Path, sampler: Sampler, real: SampleSet | None, **changes: object) -> ImageMeasure:
    settings = config(**changes)
    references = (reference(folder, sampler.runtime),)
    return ImageMeasure(
        settings,
        cells_of=lambda _: tuple(cells()),
        drawn_of=lambda _: DrawnTrajectories(along_ode=False, num_steps=(2,)),
        references=references,
        cells=folder / "cells",
        code=NO_CODE,
        real=real,
    )


def drawn(sampler: Sampler, label: int, count: int) -> np.ndarray:
    noise = sample_noise(stream_key("evaluation", 0), range(count), sampler.shape)
    images = [sampler.sample(part, ONE_STEP, torch.full((len(part),), label)).x for part in noise.split(8)]
    return to_uint8(torch.cat(images)).numpy()


def features_of(images: np.ndarray) -> np.ndarray:
    return EXTRACTOR.extract(torch.from_numpy(images))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Heusel et al. 2017, eq. 6, as it is written."""
    covariances = [np.cov(item.T.astype(np.float64)) for item in (a, b)]
    offset = a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)
    return float(offset @ offset + np.trace(sum(covariances) - 2 * sqrtm(covariances[0] @ covariances[1]).real))


def test_each_class_is_compared_with_its_own_images_and_shown_in_its_own_row(sampler: Sampler, tmp_path: Path) -> None:
    real = real_images()
    found, arrays = measure(tmp_path, sampler, real, per_class=True).evaluate(sampler, "student")
    calls, classes = sampler.calls.forward, found["classes"]
    assert found["compute"]["samples_forward"] == calls
    assert (classes["solver"], classes["num_steps"], classes["shown"]) == ("euler", 1, (0, 1))
    for label, fid in enumerate(classes["fids"]):
        own = real.samples[real.labels == label]
        images = drawn(sampler, label, 33)  # 66 divided among two classes
        assert (fid["label"], fid["num_samples"], fid["num_reference"]) == (label, 33, len(own))
        assert fid["fid"] == pytest.approx(frechet(features_of(images), features_of(own)), rel=1e-4)
    grid = arrays[CLASS_GRID]
    assert grid.shape == (2, 5, 1, 8, 8)
    for label in (0, 1):
        # Batches of another size round differently in the last bits.
        assert np.abs(grid[label].astype(int) - drawn(sampler, label, 5)).max() <= 1
    calls = sampler.calls.forward
    again = measure(tmp_path, sampler, real, per_class=True).evaluate(sampler, "student")[0]
    assert again == found
    assert sampler.calls.forward == calls


def test_an_unconditional_model_has_no_classes_and_no_distances_are_measured_unasked(
    sampler: Sampler, tmp_path: Path, tiny_unet
) -> None:
    found, arrays = measure(tmp_path, sampler, None).evaluate(sampler, "student")
    assert found["classes"]["fids"] == ()
    assert CLASS_GRID in arrays
    plain = student_sampler(tiny_unet, sampler.runtime, tmp_path / "plain")
    found, arrays = measure(tmp_path, plain, None, per_class=True).evaluate(plain, "plain")
    assert "classes" not in found
    assert CLASS_GRID not in arrays


def test_too_few_images_of_a_class_are_refused_before_anything_is_measured(
    sampler: Sampler, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Sampler, "sample", lambda *_: pytest.fail("sampled"))
    real = real_images()
    with_labels = measure(tmp_path, sampler, SampleSet(real.samples, None, "real"), per_class=True)
    with pytest.raises(StraightflowError, match="images without labels"):
        with_labels.evaluate(sampler, "student")
    few = SampleSet(real.samples, np.array([0] * 13 + [1] * 3, dtype=np.int64), "real")
    with pytest.raises(StraightflowError, match=r"3 real images of class 1, fewer than features \(6\)"):
        measure(tmp_path, sampler, few, per_class=True).evaluate(sampler, "student")
    with pytest.raises(StraightflowError, match=r"5 images generated of each of 2 classes.*fewer than features \(6\)"):
        require_class_fids(real.labels, 2, 6, 5)
    with pytest.raises(StraightflowError, match="other classes than the model's 3"):
        require_class_fids(np.array([0, 1, 2, 3] * 20), 3, 6, 20)


def test_a_student_is_shown_at_its_fewest_steps_and_a_teacher_at_its_most() -> None:
    solvers = [SolverConfig(name="euler", num_steps=steps) for steps in (4, 1, 2)]
    assert solver_shown(solvers, diffusion=False).num_steps == 1
    assert solver_shown(solvers, diffusion=True).num_steps == 4
    adaptive = SolverConfig(name="dopri5", num_steps=None, rtol=1e-3, atol=1e-3)
    assert solver_shown([adaptive], diffusion=False) == adaptive


def test_classes_are_not_measured_where_no_model_has_any() -> None:
    with pytest.raises(StraightflowError, match=r"evaluate\.per_class is true, but no model has classes"):
        parse_config(changed("smoke", {"evaluate.per_class": True}), origin="test")
    config = parse_config(changed("smoke", {"evaluate.per_class": True, "teacher.pretrained": "x"}), origin="test")
    assert classes_needed_by(config) == "evaluate.per_class"


def test_what_measuring_classes_takes_is_planned() -> None:
    changes = {"teacher.label_dropout": 0.1}
    plain, asked = (
        {item.stage: item for item in planned_measuring(parse_config(changed("smoke", changes | more), origin="test"))}
        for more in ({}, {"evaluate.per_class": True})
    )
    # 200 samples divided among the classes: the student at one step, the teacher at four, a call each.
    for model, steps in (("few_step", 1), ("teacher", 4)):
        stage = f"evaluate@{model}"
        assert asked[stage].forward - plain[stage].forward == 200 * steps
        assert asked[stage].num_samples - plain[stage].num_samples == 200
