"""Results of a run on images that were edited by hand: what cannot be is refused with its file, row and field."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_image_results import COUPLINGS, MODELS, STUDENTS, run_config, write_run
from safetensors.numpy import load_file, save_file

from pipeline.config.graph import Config
from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import read_few_step_csv, write_few_step_csv
from pipeline.report.images.report import compose_report
from pipeline.report.images.results import load_results
from pipeline.report.runs import FEW_STEP, load_run
from pipeline.system.errors import StraightflowError

EVALUATION, QUALITY = "metrics/evaluate/round1.json", "couplings/round1/quality.json"
DATA, CLASSIFIER, CURVE = "data/images/info.json", "metrics/classifier.json", "metrics/training/round1.csv"
SAMPLES = "samples/round1.safetensors"
NAN = math.nan


def edit(path: Path, change: dict[str, Any], row: int | None = None) -> None:
    """Sets fields of a JSON file, or of one of its rows."""
    content = json.loads(path.read_text())
    (content if row is None else content["rows"][row]).update(change)
    path.write_text(json.dumps(content))


def refused(root: Path, *, match: str) -> None:
    with pytest.raises(StraightflowError, match=match):
        load_results(root, MODELS, COUPLINGS, STUDENTS)


ROW_CHANGES: list[tuple[str, Any]] = [
    ("fid", -5.0), ("fid", NAN), ("fid", None), ("fid", "5"), ("fid", True),
    ("fid_low", 6.0), ("fid_low", None), ("kid_std", -1.0), ("fid_deviations", [0.1]), ("measured_by", "x y"),
    ("is_judge", "perhaps"),
    ("fid_infinity", NAN),
    ("fid_heldout", -1.0), ("kid", NAN), ("kid", math.inf), ("precision", 2.0), ("precision", -0.1), ("recall", 1.01),
    ("density", -1.0), ("coverage", 2), ("nearest_train_ratio", -1.0), ("seconds_per_1000", -1.0),
    ("seconds_per_1000", NAN), ("peak_memory_mib", -1.0), ("nfe_std", -1.0), ("nfe_std", 0.5), ("num_samples", 0),
    ("num_samples", 1.5), ("num_chunks", 0), ("seed", -1), ("seed", 2**64), ("num_steps", 0), ("num_steps", None),
    ("nfe", None), ("nfe", 0), ("nfe", -1), ("nfe", 3), ("nfe", 5), ("nfe", NAN), ("solver", ""), ("solver", " "),
    ("solver", "eule"), ("solver", "dopri5-0.001"), ("features", ""), ("reference", "test"), ("reference", ""),
    ("model", ""), ("model", "../a"), ("other_key", 1),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), ROW_CHANGES)
def test_a_row_that_cannot_be_is_named(field: str, value: object, tmp_path: Path) -> None:
    write_run(tmp_path)
    edit(tmp_path / EVALUATION, {field: value}, row=1)  # euler at 4 steps
    name = "num_steps" if (field, value) == ("solver", "dopri5-0.001") else field
    refused(tmp_path, match=rf"{EVALUATION}(.|\n)*rows\.1\D*{name}")


@pytest.mark.parametrize(
    ("field", "value"),
    [("straightness", -1.0), ("straightness", NAN), ("turning_radians", -0.1), ("transport_cost_per_dim", -1.0),
     ("inversion_rmse", -1.0), ("one_step_rmse", -1.0), ("num_samples", 0), ("num_steps", 0), ("seed", -1), ("x", 1)],
)  # fmt: skip
def test_trajectories_that_cannot_be_are_named(field: str, value: object, tmp_path: Path) -> None:
    write_run(tmp_path)
    content = json.loads((tmp_path / EVALUATION).read_text())
    content["trajectories"][field] = value
    (tmp_path / EVALUATION).write_text(json.dumps(content))
    refused(tmp_path, match=rf"{EVALUATION}(.|\n)*trajectories\.{field}")


@pytest.mark.parametrize(
    ("file", "change", "field"),
    [
        (EVALUATION, {"rows": []}, "a line for every measured cell"),
        (EVALUATION, {"model": "teacher"}, "model: teacher"),
        (EVALUATION, {"precision": "fp8"}, "precision"),
        (EVALUATION, {"device": ""}, "device"),
        (EVALUATION, {"other": 1}, "other"),
        (QUALITY, {"num_pairs": 0}, "num_pairs"),
        (QUALITY, {"num_pairs": -5}, "num_pairs"),
        (QUALITY, {"num_pairs": 4999}, r"rows\.num_samples: 5000 of num_pairs: 4999"),
        (QUALITY, {"num_dropped": -1}, "num_dropped"),
        (QUALITY, {"transport_cost_per_dim": -1.0}, "transport_cost_per_dim"),
        (QUALITY, {"transport_cost_per_dim": NAN}, "transport_cost_per_dim"),
        (QUALITY, {"clipped_fraction": 1.5}, "clipped_fraction"),
        (QUALITY, {"reintegration_error": -1.0}, "reintegration_error"),
        (QUALITY, {"inversion_error": NAN}, "inversion_error"),
        (QUALITY, {"source": ""}, "source"),
        (QUALITY, {"other": 1}, "other"),
        (DATA, {"channels": 7}, "channels"),
        (DATA, {"channels": True}, "channels"),
        (DATA, {"resolution": 0}, "resolution"),
        (DATA, {"resolution": -8}, "resolution"),
        (DATA, {"resolution": None}, "resolution"),
        (DATA, {"num_train": 0}, "num_train"),
        (DATA, {"num_heldout": -1}, "num_heldout"),
        (DATA, {"source": "digit"}, "source"),
        (DATA, {"source": "two_moons"}, "source"),
        (DATA, {"dim": 2}, "dim"),
        (DATA, {"other": 1}, "other"),
        (CLASSIFIER, {"first": {"features": "classifier", "accuracy_heldout": NAN}}, "accuracy_heldout"),
        (CLASSIFIER, {"first": {"features": "classifier", "accuracy_heldout": 1.5}}, "accuracy_heldout"),
        (CLASSIFIER, {"judge": {"features": "classifier", "accuracy_heldout": -0.5}}, "accuracy_heldout"),
        (CLASSIFIER, {"first": None}, "features: no classifier"),
        (CLASSIFIER, {"other": 1}, "other"),
    ],
)
def test_other_results_that_cannot_be_are_named(file: str, change: dict[str, Any], field: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    edit(tmp_path / file, change)
    refused(tmp_path, match=rf"{file}(.|\n)*{field}|{field}(.|\n)*{file}")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"fid": -1.0}, "fid"), ({"nfe": 4}, "nfe"), ({"seconds_per_1000": 1.0}, "seconds_per_1000"),
     ({"nfe_std": 0.0}, "nfe_std"), ({"peak_memory_mib": 1.0}, "peak_memory_mib"), ({"x": 1}, "x"),
     ({"model": "couplings@round2"}, "couplings@round2"), ({"model": "round1", "nfe": 20}, "round1")],
)  # fmt: skip
def test_a_row_of_couplings_has_what_they_have(change: dict[str, Any], field: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    content = json.loads((tmp_path / QUALITY).read_text())
    content["rows"][0] |= change
    (tmp_path / QUALITY).write_text(json.dumps(content))
    refused(tmp_path, match=rf"{QUALITY}(.|\n)*row\W*{field}|{QUALITY}(.|\n)*row(.|\n)*{field}")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("file", [EVALUATION, QUALITY, DATA, CLASSIFIER, CURVE, SAMPLES])
@pytest.mark.parametrize("make", [Path.mkdir, make_pipe, link_to_device, Path.touch, None])
def test_what_is_no_file_of_its_stage_is_named(file: str, make: Callable[[Path], None] | None, tmp_path: Path) -> None:
    config = configured(tmp_path)
    (tmp_path / file).unlink()
    if make is not None:
        make(tmp_path / file)
    with pytest.raises(StraightflowError, match=file) as caught:
        compose_report(tmp_path, config)
    assert "`dvc repro`" in caught.value.mend
    if make is not None and make is not Path.touch:
        assert any(words in caught.value.mend for words in ("move it elsewhere", "put a file there"))


@pytest.mark.parametrize("file", [EVALUATION, QUALITY, DATA, CLASSIFIER])
@pytest.mark.parametrize("content", ["{}", "nan", "NaN", "null", "[]", "5", '"text"', "\ufeff{}"])
def test_json_of_another_kind_is_named(file: str, content: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / file).write_text(content, "utf-8")
    refused(tmp_path, match=file)


HEADER = "step,loss,learning_rate\n"


@pytest.mark.parametrize(
    "text",
    ["", "\n", HEADER, HEADER + "0,1,1\n", HEADER + "-1,1,1\n", HEADER + "1,-1,1\n", HEADER + "1,nan,1\n",
     HEADER + "1,1,-1\n", HEADER + "1,1\n", HEADER + "1,,1\n", HEADER + "2,1,1\n2,1,1\n", HEADER + "2,1,1\n1,1,1\n",
     "step,loss\n1,1\n", "step,loss\n"],
)  # fmt: skip
def test_a_learning_curve_that_cannot_be_is_named(text: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / CURVE).write_text(text)
    refused(tmp_path, match=CURVE)


def test_only_a_teacher_has_a_curve_without_points(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert list(load_results(tmp_path, MODELS, COUPLINGS, STUDENTS).losses) == ["round1", "few_step"]
    (tmp_path / "metrics/training/teacher.csv").write_text("")
    refused(tmp_path, match=r"teacher\.csv(.|\n)*no column step, loss, learning_rate")


def configured(root: Path) -> Config:
    write_run(root)
    return run_config()


def arrays(**changes: Any) -> Callable[[Path], None]:
    """Replaces grids by name, with None leaves them out, and writes ``model`` as the owner's name."""
    owner = changes.pop("model", None)

    def write(path: Path) -> None:
        grids = {key: values for key, values in (load_file(path) | changes).items() if values is not None}
        save_file(grids, path, metadata=None if owner is None else {"model": owner})

    return write


GRID = np.zeros((5, 1, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (arrays(model="few_step"), "samples of few_step"),
        (lambda path: save_file({}, path), "no samples"),
        (lambda path: path.write_bytes((path.parent / "teacher.safetensors").read_bytes()), "no samples of euler/1"),
        (arrays(**{"euler/4": None}), "no samples of euler/4"),
        (arrays(**{"euler/8": GRID}), "samples of euler/8, which no row measures"),
        (arrays(**{"euler/04": GRID}), "euler/04"),
        (arrays(**{"euler/0": GRID}), "euler/0"),
        (arrays(times=GRID), "unpack"),
        (arrays(**{"euler/4": GRID[:0]}), "no pictures"),
        (arrays(**{"euler/4": GRID.astype(np.float32)}), "no pictures"),
    ],
)
def test_samples_are_of_their_model_and_of_its_cells(
    damage: Callable[[Path], None], found: str, tmp_path: Path
) -> None:
    config = configured(tmp_path)
    damage(tmp_path / SAMPLES)
    with pytest.raises(StraightflowError, match=rf"{SAMPLES}(.|\n)*{found}"):
        compose_report(tmp_path, config)


def test_samples_that_say_their_model_and_those_that_do_not_are_read(tmp_path: Path) -> None:
    config = configured(tmp_path)
    before = compose_report(tmp_path, config).pictures["samples"]
    arrays(model="round1")(tmp_path / SAMPLES)
    assert compose_report(tmp_path, config).pictures["samples"] == before


def test_samples_have_the_size_of_the_data(tmp_path: Path) -> None:
    config = configured(tmp_path)
    edit(tmp_path / DATA, {"resolution": 16})
    with pytest.raises(
        StraightflowError, match=r"samples/teacher(.|\n)*\(1, 8, 8\), where the data have \(1, 16, 16\)"
    ):
        compose_report(tmp_path, config)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("5000,1,4.0,3.6,4.4", "5000,1,-4.0,3.6,4.4", "fid"),
        ("5000,1,4.0,3.6,4.4", "5000,1,4.0,4.2,4.4", "fid_low"),
        ("round1,euler,4,4,", "round1,euler,4,3,", "nfe: 3"),
        ("round1,euler,4,4,", "round1,euler,4,,", "nfe: None"),
        ("round1,euler,4,4,", "round1,,4,4,", "solver"),
        ("round1,euler,4,4,", ",euler,4,4,", "model"),
        ("nearest_train_ratio", "nearest_ratio", "nearest_ratio"),
        ("couplings@round1,unipc,20,,", "couplings@round1,unipc,20,20,", "nfe: 20"),
    ],
)
def test_show_and_compare_refuse_a_table_that_cannot_be(old: str, new: str, found: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    table = tmp_path / FEW_STEP
    write_few_step_csv(table, load_results(tmp_path, MODELS, COUPLINGS, STUDENTS).rows)
    text = table.read_text()
    assert text.count(old) == 1
    table.write_text(text.replace(old, new))
    for read in (lambda: read_few_step_csv(table, ImageRow), lambda: load_run(str(tmp_path), tmp_path)):
        with pytest.raises(StraightflowError, match=rf"few_step\.csv(.|\n)*{found}"):
            read()


@pytest.mark.parametrize("make", [Path.mkdir, make_pipe, link_to_device])
def test_show_and_compare_refuse_what_is_no_table(make: Callable[[Path], None], tmp_path: Path) -> None:
    table = tmp_path / FEW_STEP
    table.parent.mkdir()
    make(table)
    for read in (lambda: read_few_step_csv(table, ImageRow), lambda: load_run(str(tmp_path), tmp_path)):
        with pytest.raises(StraightflowError, match=r"few_step\.csv"):
            read()
