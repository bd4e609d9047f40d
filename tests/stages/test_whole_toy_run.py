"""The toy_smoke preset, from a fresh copy of the project to the report: the fast lane of the whole graph."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.composition import composed
from helpers.planned_compute import planned_compute
from helpers.project_folders import fresh_copy, run
from helpers.small_run import run_stages
from PIL import Image

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.config.planned_calls import planned_calls
from pipeline.report.ledger import load_ledger


def test_a_toy_runs_from_nothing_to_the_report_and_then_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_copy(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed("preset=toy_smoke"), sort_keys=False))
    monkeypatch.chdir(tmp_path)
    config = load_config(tmp_path / "params.yaml")
    run_stages(config)
    run(tmp_path, "dvc", "commit", "--force", "--quiet")

    with (tmp_path / "metrics/few_step.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert "fid" not in rows[0]
    assert [row["model"] for row in rows if not row["nfe"]] == ["couplings@round1", "couplings@round2"]
    cells = [(row["model"], row["num_steps"], row["nfe"]) for row in rows if row["nfe"]]
    assert cells == [("flow", "1", "1"), ("flow", "4", "4"), ("few_step", "1", "1"), ("few_step", "4", "4")]
    assert all(float(row["sliced_wasserstein"]) > 0 for row in rows)
    summary = json.loads((tmp_path / "metrics/summary.json").read_text())
    assert {"straightness_flow", "velocity_error_flow", "few_step_1_sliced_wasserstein"} <= summary.keys()
    page = (tmp_path / "report/index.html").read_text("utf-8")
    for name in ("trajectories", "path_density", "samples", "distance_by_steps", "velocity_field", "exact_velocity"):
        assert np.asarray(Image.open(tmp_path / f"report/figures/{name}.png").convert("L")).std() > 1, name
    assert Image.open(tmp_path / "report/figures/paths.gif").n_frames > 10
    assert page.count("data:image/") == 2 * 7  # for light and for dark ground
    assert page.count("(prefers-color-scheme: dark)") == 1 + 7
    assert status_of(tmp_path) == {}
    untracked = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "inputs"], cwd=tmp_path, check=True, capture_output=True
    )
    assert untracked.stdout == b"inputs/.gitignore\n"  # a fresh copy is not committed
    assert_calls_were_planned(tmp_path, config)
    assert_stages_run_again_when_what_their_code_does_changes(tmp_path)


def assert_calls_were_planned(folder: Path, config: Config) -> None:
    ledger = load_ledger(folder, config)
    counted = {item.stage: item.compute for item in ledger.stages if item.compute is not None}
    planned = planned_calls(config)
    assert {item.stage for item in planned} == {stage for stage in counted if not stage.startswith("evaluate@")}
    for stage in {item.stage for item in planned}:
        forward = sum(item.forward for item in planned if item.stage == stage)
        backward = sum(item.backward for item in planned if item.stage == stage)
        assert (forward, backward) == (counted[stage].samples_forward, counted[stage].samples_backward), stage
    for item in ledger.models:
        assert item.compute is not None
        assert planned_compute(config, item.model) == item.compute.forward_equivalents


def status_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(run(folder, "dvc", "status", "--json"))
    return found


def assert_stages_run_again_when_what_their_code_does_changes(folder: Path) -> None:
    losses = folder / "pipeline/flow/losses.py"
    code = losses.read_text()
    losses.write_text(f"# A comment.\n{code.replace('Mean squared error', 'The mean of squared errors')}")
    run(folder, "stages.check")
    assert status_of(folder).keys() == {"check"}
    changed = code.replace("(prediction - target).square()", "(prediction - target).square().mul(2)")
    assert changed != code
    losses.write_text(changed)
    run(folder, "stages.check")
    trainings = {"teacher", "flow@flow", "student@round1", "student@round2", "student@few_step"}
    moved = {name for name, changes in status_of(folder).items() if "inputs/code/" in json.dumps(changes)}
    assert moved - {"check"} == trainings
