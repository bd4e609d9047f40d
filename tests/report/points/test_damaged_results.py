"""Results of a run on points that were edited by hand: what cannot be is refused with its file, row and field."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_point_results import point_model, point_row
from safetensors.numpy import load_file, save_file

from pipeline.metrics.field_measures import FieldMeasures
from pipeline.report.points.results import load_results
from pipeline.system.errors import StraightflowError

EVALUATION, QUALITY = "metrics/evaluate/flow.json", "couplings/round1/quality.json"
SAMPLES = "samples/flow.safetensors"
NAN = math.nan
MEASURES = asdict(FieldMeasures(0.1, 0.2, -1.5, -1.4, num_samples=100, num_likelihoods=10))


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path) -> None:
    """Those of a run in one dimension in ``tmp_path``."""
    row = asdict(point_row("couplings@round1", "dopri5-0.001", None, None))
    quality = {
        "rows": [row],
        "num_pairs": 300,
        "transport_cost_per_dim": 1.0,
        "source": "flow",
        "clipped_fraction": 0.0,
    }
    evaluation = asdict(point_model("flow")) | {"field_error": MEASURES}
    for path, content in ((QUALITY, quality), (EVALUATION, evaluation)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(json.dumps(content))
    cells = {row.samples_key: np.zeros((300, 1), np.float32) for row in point_model("flow").rows}
    drawn = {"times": np.linspace(0, 1, 5, dtype=np.float32), "trajectories": np.zeros((7, 5, 1), np.float32)}
    field = {"positions": np.zeros(3, np.float32), "field": np.zeros((5, 3), np.float32)}
    (tmp_path / "samples").mkdir()
    save_file(cells | drawn | field, tmp_path / SAMPLES, metadata={"model": "flow"})


def refused(root: Path, match: str) -> None:
    with pytest.raises(StraightflowError, match=match):
        load_results(root, ["flow"], ["round1"])


def test_results_are_read(tmp_path: Path) -> None:
    found = load_results(tmp_path, ["flow"], ["round1"])
    assert found.models[0].rows == point_model("flow").rows
    assert found.models[0].field_error == FieldMeasures(**MEASURES)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sliced_wasserstein", -1.0), ("sliced_wasserstein", NAN), ("sliced_wasserstein_floor", -1.0),
     ("energy_distance", -1.0), ("inside_share", 1.5), ("inside_share", -0.5), ("num_samples", 0),
     ("num_projections", 0), ("seed", -1), ("seconds_per_1000", -1.0), ("nfe", None), ("nfe", 0), ("nfe", 1),
     ("nfe", 2.0), ("solver", ""), ("num_steps", 0), ("model", ""), ("fid", 1.0)],
)  # fmt: skip
def test_a_row_that_cannot_be_is_named(field: str, value: object, tmp_path: Path) -> None:
    content = json.loads((tmp_path / EVALUATION).read_text())
    content["rows"][1][field] = value
    (tmp_path / EVALUATION).write_text(json.dumps(content))
    refused(tmp_path, rf"{EVALUATION}(.|\n)*rows\.1\D*{field}")


@pytest.mark.parametrize(
    ("field", "value"),
    [("velocity_error", -1.0), ("log_likelihood_error", -1.0), ("log_likelihood", NAN), ("exact_log_likelihood", NAN),
     ("num_samples", 0), ("num_likelihoods", -1), ("other", 1)],
)  # fmt: skip
def test_errors_of_the_field_that_cannot_be_are_named(field: str, value: object, tmp_path: Path) -> None:
    content = json.loads((tmp_path / EVALUATION).read_text())
    content["field_error"][field] = value
    (tmp_path / EVALUATION).write_text(json.dumps(content))
    refused(tmp_path, rf"{EVALUATION}(.|\n)*field_error\.{field}")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"num_pairs": 0}, "num_pairs"), ({"num_pairs": 299}, r"rows\.num_samples: 300 of num_pairs: 299"),
     ({"transport_cost_per_dim": -1.0}, "transport_cost_per_dim"), ({"source": ""}, "source"), ({"x": 1}, "x"),
     ({"rows": [asdict(point_row("couplings@round2", "dopri5-0.001", None, None))]}, "couplings@round2"),
     ({"rows": [asdict(point_row("couplings@round1", "dopri5-0.001", None, 60))]}, "nfe: 60"),
     ({"rows": [asdict(point_row("couplings@round1", "euler", None, None))]}, "num_steps: None")],
)  # fmt: skip
def test_couplings_that_cannot_be_are_named(change: dict[str, Any], field: str, tmp_path: Path) -> None:
    path = tmp_path / QUALITY
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(tmp_path, rf"{QUALITY}(.|\n)*{field}")


def arrays(**changes: np.ndarray | None) -> Callable[[Path], None]:
    """Replaces arrays by name, and with None leaves them out."""

    def write(path: Path) -> None:
        kept = {name: values for name, values in (load_file(path) | changes).items() if values is not None}
        save_file(kept, path)

    return write


POINTS = np.zeros((300, 1), np.float32)
TIMES = np.linspace(0, 1, 5, dtype=np.float32)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: save_file({}, path), "no samples"),
        (lambda path: save_file(load_file(path), path, metadata={"model": "round1"}), "samples of round1"),
        (arrays(**{"euler/2": None}), "no samples of euler/2"),
        (arrays(**{"euler/3": POINTS}), "samples of euler/3"),
        (arrays(noise=POINTS), "samples of noise"),
        (arrays(**{"euler/2": POINTS[:5]}), r"\(5, 1\) as euler/2"),
        (arrays(**{"euler/2": POINTS.astype(np.float64)}), "float64 of shape"),
        (arrays(**{"euler/2": np.zeros((300, 2), np.float32)}), r"\(300, 2\) as euler/2"),
        (arrays(times=None), "no times"),
        (arrays(trajectories=None), "no trajectories"),
        (arrays(times=TIMES[::-1].copy()), "do not rise"),
        (arrays(times=2 * TIMES), "do not rise within"),
        (arrays(times=TIMES[:4]), "as trajectories"),
        (arrays(trajectories=np.zeros((7, 5), np.float32)), "trajectories of shape"),
        (arrays(trajectories=np.zeros((0, 5, 1), np.float32)), "trajectories of shape"),
        (arrays(positions=None), "as positions"),
        (arrays(field=None), "nothing as field"),
        (arrays(field=np.zeros((5, 2), np.float32)), "as field"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "pipe"),
    ],
)
def test_arrays_are_of_their_model_and_fit_each_other(
    damage: Callable[[Path], object], found: str, tmp_path: Path
) -> None:
    damage(tmp_path / SAMPLES)
    refused(tmp_path, rf"{SAMPLES}(.|\n)*{found}")
