"""What a run on points measured, read back for its report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from helpers.small_point_results import point_model, point_row
from safetensors.numpy import save_file

from pipeline.report.points.figures import distance_figure
from pipeline.report.points.results import Results, load_results
from pipeline.report.points.summary import summary, text_table
from pipeline.system.errors import StraightflowError

COUPLINGS = point_row("couplings@round1", "dopri5-0.001", None, None)
QUALITY = {"rows": [asdict(COUPLINGS)], "num_pairs": 300, "transport_cost_per_dim": 1.0, "source": "flow"}
CELLS = ("euler/1", "euler/2", "dopri5-0.001/adaptive")
ARRAYS = {
    "times": np.arange(2, dtype=np.float32),
    "trajectories": np.zeros((7, 2, 2), np.float32),
    **{cell: np.zeros((300, 2), np.float32) for cell in CELLS},
}


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path) -> None:
    """Those of a run in ``tmp_path``."""
    for path, content in (
        ("couplings/round1/quality.json", QUALITY),
        ("metrics/evaluate/flow.json", asdict(point_model("flow"))),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(json.dumps(content))
    (tmp_path / "samples").mkdir()
    save_file(ARRAYS, tmp_path / "samples/flow.safetensors", metadata={"model": "flow"})


def load(root: Path) -> Results:
    return load_results(root, ["flow"], ["round1"])


def test_cells_come_back_as_they_were_measured_also_of_adaptive_solvers(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.models == (point_model("flow"),)
    assert found.rows == (COUPLINGS, *point_model("flow").rows)
    assert found.arrays["flow"]["times"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "name", ["couplings/round1/quality.json", "metrics/evaluate/flow.json", "samples/flow.safetensors"]
)
@pytest.mark.parametrize("content", [None, "{}"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(StraightflowError, match=name):
        load(tmp_path)


def test_the_summary_names_every_cell_of_a_model_by_steps_or_by_adaptive_solver(tmp_path: Path) -> None:
    numbers = summary(load(tmp_path))
    cells = {"flow_1": 0.1, "flow_2": 0.2, "flow_dopri5-0.001": 5.6}
    expected = {f"{cell}_sliced_wasserstein": distance for cell, distance in cells.items()}
    expected |= {f"{cell}_inside_share": 0.5 for cell in cells}
    assert numbers == pytest.approx(expected | {"sliced_wasserstein_floor": 0.05, "straightness_flow": 0.25})


def test_adaptive_solvers_are_horizontal_in_the_figure_of_distances(tmp_path: Path) -> None:
    (axes,) = distance_figure(load(tmp_path).rows).axes
    labels = ["flow · euler", "flow · dopri5-0.001", "fresh points"]
    assert [line.get_label() for line in axes.lines] == labels
    assert [list(line.get_ydata()) for line in axes.lines] == [
        pytest.approx(distances) for distances in ([0.1, 0.2], [5.6, 5.6], [0.05, 0.05])
    ]


def test_the_table_for_the_terminal_has_distances_and_shares_of_every_cell(tmp_path: Path) -> None:
    lines = [line.split() for line in text_table(load(tmp_path).rows).splitlines()]
    assert lines.count(["model", "solver", "1", "2", "adaptive"]) == 2
    assert ["flow", "euler", "0.100", "0.200", "-"] in lines
    assert ["flow", "dopri5-0.001", "-", "-", "5.600"] in lines
    assert ["flow", "euler", "0.500", "0.500", "-"] in lines
    assert ["couplings@round1", "(dopri5-0.001):", "0.100"] in lines
