"""Models and couplings measured by what their samples are, each without what only the other kind needs."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.composition import composed
from helpers.coupling_models import couplings, student_sampler
from helpers.feature_networks import save_untrained
from helpers.imports import modules_imported
from helpers.mixture_field import MixtureField
from helpers.sweep_setting import EXTRACTOR, cells, config, reference
from pydantic import TypeAdapter
from safetensors.numpy import save_file

from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.graph import Config
from pipeline.config.teacher import MLPConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.trajectory_arrays import from_arrays, is_of_trajectory
from pipeline.evaluation.few_step_fid import open_few_step_fid
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.images import ImageMeasure
from pipeline.evaluation.measure import open_measure
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.point_row import PointRow
from pipeline.models.networks import build_network
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import write_json
from pipeline.system.code import NO_CODE
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import write_hashes
from pipeline.toys.distributions import TOYS

FOLDERS = MeasuringFolders(Path("data/images"), Path("models/classifier"), Path("references"), Path("cells"))


@pytest.fixture
def sampler_of_images(tiny_unet, runtime: Runtime, tmp_path: Path) -> Sampler:
    return student_sampler(tiny_unet, runtime, tmp_path / "student")


def toy_run(**evaluate: object) -> Config:
    params = composed("preset=toy_smoke")
    params["evaluate"] |= {"student_solvers": ["euler"], "num_steps": [1, 2]} | evaluate
    return Config.model_validate(params)


def test_points_are_measured_with_what_is_drawn_of_them(runtime: Runtime) -> None:
    """The exact field of the data: no error but that of rounding, and of the likelihood's solver."""
    sampler = Sampler((1,), "exact", None, MixtureField(TOYS["bimodal_1d"].mixture), runtime)
    content, arrays = open_measure(toy_run(), runtime, FOLDERS).evaluate(sampler, "flow")
    assert [(row["solver"], row["num_steps"]) for row in content["rows"]] == [("euler", 1), ("euler", 2)]
    assert content["field_error"]["velocity_error"] < 1e-5
    assert content["field_error"]["log_likelihood_error"] < 1e-2
    assert {key: content["trajectories"][key] for key in ("num_samples", "num_steps", "seed")} == {
        "num_samples": 50, "num_steps": 8, "seed": 0,
    }  # fmt: skip
    times, paths = arrays["times"], arrays["trajectories"]
    assert paths.shape == (200, len(times), 1)
    step = (paths[:, -1] - paths[:, -2]) / (times[-1] - times[-2])
    field = np.interp(paths[:, -2, 0], arrays["positions"], arrays["field"][-2])
    inside = np.abs(paths[:, -2, 0]) < arrays["positions"][-1]
    assert np.abs(step[inside, 0] - field[inside]).max() < 0.05  # of the linear interpolation between positions


def test_only_models_that_learn_it_are_compared_with_the_closed_form(runtime: Runtime) -> None:
    sampler = Sampler((1,), "exact", None, MixtureField(TOYS["bimodal_1d"].mixture), runtime)
    content, _ = open_measure(toy_run(num_steps=[1]), runtime, FOLDERS).evaluate(sampler, "round1")
    assert content["field_error"] is None


def test_couplings_of_points_are_measured_on_as_many_as_models_are(runtime: Runtime, tmp_path: Path) -> None:
    network = build_network(MLPConfig(width=8, num_layers=1, fourier_octaves=0, longest_wavelength=8.0), (1,), 0)
    sampler = student_sampler(network, runtime, tmp_path / "flow")
    generate_couplings(sampler, couplings(dtype="float32"), tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    for wanted, measured in ((30, 30), (200, len(store))):
        row = open_measure(toy_run(num_samples=wanted), runtime, FOLDERS).couplings_rows("round1", store, sampler)[0]
        assert isinstance(row, PointRow)
        assert row.is_couplings
        assert (row.model, row.nfe, row.num_samples) == ("couplings@round1", None, measured)
        assert (row.solver, row.num_steps, row.seed) == ("euler", 2, store.manifest.seed)


def image_measure(folder: Path, runtime: Runtime, **changes: Any) -> ImageMeasure:
    """Of a student at one step and at two, which is drawn at two."""
    return ImageMeasure(
        config(**changes),
        cells_of=lambda _: tuple(cells()),
        drawn_of=lambda _: DrawnTrajectories(along_ode=False, num_steps=(2,)),
        references=(reference(folder, runtime),),
        cells=folder / "cells",
        code=NO_CODE,
    )


def test_couplings_of_images_are_measured_as_models_are(sampler_of_images: Sampler, tmp_path: Path) -> None:
    runtime = sampler_of_images.runtime
    generate_couplings(sampler_of_images, couplings(), tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    measure = image_measure(tmp_path, runtime, num_samples=40)
    row, *_ = measure.couplings_rows("round1", store, sampler_of_images)
    assert (row.model, row.nfe, row.num_samples, row.features) == ("couplings@round1", None, 40, "projection")
    features = EXTRACTOR.extract(store.images(np.arange(40))).astype(np.float64)
    covariance, known = np.cov(features.T), measure.references[0].frechet.moments
    offset = features.mean(axis=0) - known.mean
    roots = np.sqrt(np.linalg.eigvals(covariance @ known.covariance).real.clip(min=0)).sum()
    expected = offset @ offset + np.trace(covariance) + np.trace(known.covariance) - 2 * roots
    assert row.fid == pytest.approx(float(expected), rel=1e-6)
    again = TypeAdapter(ImageRow).validate_python(json.loads(json.dumps(asdict(row))))
    assert again == row


def test_couplings_have_as_many_images_measured_as_the_headline(sampler_of_images: Sampler, tmp_path: Path) -> None:
    generate_couplings(sampler_of_images, couplings(num_pairs=100), tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    for wanted, measured in ((40, {40}), (80, {40, 80}), (95, {40, 80}), (5000, {40, 80})):
        measure = image_measure(tmp_path, sampler_of_images.runtime, num_samples=40)
        headline = measure.config.headline.model_copy(update={"num_samples": wanted})
        measure = replace(measure, config=measure.config.model_copy(update={"headline": headline}))
        assert {row.num_samples for row in measure.couplings_rows("round1", store, sampler_of_images)} == measured


def test_an_evaluation_of_images_has_rows_trajectories_and_leading_images(
    sampler_of_images: Sampler, tmp_path: Path
) -> None:
    measured = image_measure(tmp_path, sampler_of_images.runtime)
    content, arrays = measured.evaluate(sampler_of_images, "student")
    assert content.keys() == {"model", "rows", "trajectories", "compute"}
    images = {name: item for name, item in arrays.items() if not is_of_trajectory(name)}
    assert images.keys() == {"euler/1", "euler/2"}
    assert {item.shape for item in images.values()} == {(measured.config.grid_images, 1, 8, 8)}
    # From the same noises as the images, to the same images.
    (drawn,) = from_arrays(arrays)
    assert np.array_equal(drawn.states[:5, -1], images["euler/2"])
    kept, kept_arrays = measured.evaluate(sampler_of_images, "student")
    assert kept == content
    assert kept_arrays.keys() == arrays.keys()
    assert all(np.array_equal(kept_arrays[name], item) for name, item in arrays.items())


def test_changed_trajectories_are_measured_anew_and_said(sampler_of_images: Sampler, tmp_path: Path, capsys) -> None:
    measured = image_measure(tmp_path, sampler_of_images.runtime)
    content = measured.evaluate(sampler_of_images, "student")[0]["trajectories"]
    (file,) = tmp_path.glob("cells/trajectories-*/trajectories.json")
    file.write_text(file.read_text().replace("1", "2"))
    assert measured.evaluate(sampler_of_images, "student")[0]["trajectories"] == content
    assert f"{file.parent} is not what was kept there" in capsys.readouterr().err


def test_drawn_trajectories_that_cannot_be_are_drawn_anew(sampler_of_images: Sampler, tmp_path: Path, capsys) -> None:
    measured = image_measure(tmp_path, sampler_of_images.runtime)
    arrays = measured.evaluate(sampler_of_images, "student")[1]
    (file,) = tmp_path.glob("cells/drawn-*/drawn.safetensors")
    save_file({"trajectory/2/states": arrays["trajectory/2/states"]}, file)
    write_hashes(file.parent)
    assert measured.evaluate(sampler_of_images, "student")[1].keys() == arrays.keys()
    assert "no trajectory/2/headings" in capsys.readouterr().err


def test_a_model_of_points_has_no_fid(runtime: Runtime) -> None:
    with pytest.raises(StraightflowError, match="images, for an FID"):
        open_few_step_fid(
            toy_run(), runtime, FOLDERS, (2,), key=0, num_samples=10, batch_size=10, setting="--num-samples"
        )


@pytest.mark.parametrize(
    ("preset", "others"),
    [
        ("toy_smoke", {"cleanfid", "sklearn", "matplotlib", "torchvision", "pipeline.evaluation.reference"}),
        ("smoke", {"cleanfid", "matplotlib", "pipeline.toys", "pipeline.evaluation.points"}),
    ],
)
def test_a_measure_is_opened_without_what_only_the_other_kind_needs(
    preset: str, others: set[str], tmp_path: Path
) -> None:
    write_images(tmp_path)
    imported = modules_imported(
        f"""
        from pathlib import Path
        from pipeline.config.compute import ONE_PROCESS
        from pipeline.config.graph import Config
        from pipeline.evaluation.folders import MeasuringFolders
        from pipeline.evaluation.measure import open_measure
        from pipeline.models.runtime import open_runtime
        config = Config.model_validate({composed(f"preset={preset}")!r})
        folders = MeasuringFolders(*(Path({str(tmp_path)!r}) / name for name in ("data", "net", "references", "cells")))
        open_measure(config, open_runtime(config.compute, ONE_PROCESS), folders)
        """
    )
    assert imported.isdisjoint(others)


def write_images(folder: Path) -> None:
    """A data set of random images in ``folder``, and a classifier of them with random weights."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for split, count in (("train", 120), ("heldout", 40)):
        np.save(folder / f"data/{split}_images.npy", rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8))
    write_json(folder / "data/info.json", {"fingerprint": "random"})
    save_untrained(folder / "net")
