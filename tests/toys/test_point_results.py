"""What a run on points measured, read back for its report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save_file
from test_config import composed

from pipeline.config import load_config
from pipeline.toys.figures import distance_figure
from pipeline.toys.page import load_point_results, summarise
from pipeline.toys.row import PointRow


def row(model: str, solver: str, num_steps: int | None, nfe: int | None) -> PointRow:
    return PointRow(
        model=model, solver=solver, num_steps=num_steps, nfe=nfe, sliced_wasserstein=0.1, sliced_wasserstein_floor=0.05,
        energy_distance=0.1, inside_share=None, num_samples=300, num_projections=8, seed=0, seconds_per_1000=None,
    )  # fmt: skip


def test_couplings_of_an_adaptive_solver_have_no_number_of_steps(tmp_path: Path) -> None:
    params = composed("preset=toy_smoke")
    del params["rounds"]["round2"]
    params["evaluate"]["models"] = ["flow"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    written = [row("couplings@round1", "dopri5", None, None), row("flow", "euler", 4, 4)]
    model = {"rows": [asdict(written[1])], "trajectories": {"straightness": 0.25}, "field_error": None}
    for path, content in (
        ("couplings/round1/quality.json", {"row": asdict(written[0])}),
        ("metrics/evaluate/flow.json", model),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(json.dumps(content))
    (tmp_path / "samples").mkdir()
    save_file({"times": np.zeros(2, np.float32)}, tmp_path / "samples/flow.safetensors")

    found = load_point_results(tmp_path, load_config(tmp_path / "params.yaml"))
    assert found.rows == written
    assert summarise(found)["flow_4_sliced_wasserstein"] == written[1].sliced_wasserstein
    (axes,) = distance_figure(found.rows).axes
    assert [line.get_label() for line in axes.lines] == ["flow · euler", "fresh points"]
