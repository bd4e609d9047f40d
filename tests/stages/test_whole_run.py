"""The smoke preset, from a fresh copy of the project to the table."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from diffusers import DiffusionPipeline
from helpers.composition import composed
from helpers.project_folders import call, fresh_copy, run
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.config.loading import load_config
from pipeline.config.planned_calls import planned_calls
from pipeline.config.planned_measuring import planned_measuring
from pipeline.couplings.store import CouplingStore
from pipeline.report.ledger import load_ledger
from pipeline.system.fingerprint import fingerprint_folder


def assert_the_report_shows_the_cells(folder: Path, rows: list[dict[str, str]]) -> None:
    chosen = [row for row in rows if row["is_judge"] == "False"]
    fid = {(row["model"], row["nfe"], int(row["num_samples"])): float(row["fid"]) for row in chosen}
    counts = {count for model, _, count in fid if model == "couplings@round1"}
    summary = json.loads(run(folder, "dvc", "metrics", "show", "--json"))[""]["data"]["metrics/summary.json"]["data"]
    assert summary["few_step_1_fid"] == fid["few_step", "1", 400]
    alike = max(counts & {200, 400})  # FIDs compare at equal numbers of samples
    ratio = fid["few_step", "1", alike] / fid["couplings@round1", "", alike]
    assert summary["few_step_1_over_couplings"] == pytest.approx(ratio)
    costs = [json.loads((folder / f"metrics/training/{name}.json").read_text()) for name in ("teacher", "round1")]
    assert all(cost["images_per_second"] > 0 for cost in costs)
    page = (folder / "report/index.html").read_text("utf-8")
    assert not re.search(r"(src|href|srcset)=\"(?!data:)", page)
    assert all(f"{float(row['fid']):.3f}" in page for row in rows)
    for name in ("fid_by_steps", "quality_by_seconds", "samples", "straightness", "losses"):
        pixels = np.asarray(Image.open(folder / f"report/figures/{name}.png").convert("L"))
        assert pixels.std() > 1, name
    shown = run(folder, "stages.commands", "show")
    assert f"report: {folder.resolve() / 'report/index.html'}" in shown
    plots = json.loads(run(folder, "dvc", "plots", "show", "--json"))["data"]
    points = plots["FID by steps"][0]["content"]["data"]["values"]
    assert [(point["model"], float(point["fid"])) for point in points] == [
        (row["model"], float(row["fid"])) for row in rows
    ]
    assert "metrics/training/round1.csv" in plots


def assert_watching_changes_nothing(folder: Path, params: dict[str, Any]) -> None:
    trained = fingerprint_folder(folder / "models/round1")
    watch = {"trackers": ["tensorboard"], "samples_every_steps": 10, "fid_every_steps": 10, "fid_num_samples": 70}
    (folder / "params.yaml").write_text(yaml.safe_dump(params | {"watch": watch}))
    run(folder, "stages.student", "round1")
    assert fingerprint_folder(folder / "models/round1") == trained
    steps = range(10, params["students"]["round1"]["num_steps"] + 1, 10)
    watched = folder / "watch/round1"
    assert {item.name for item in (watched / "samples").iterdir()} == {f"step-{step:09d}.png" for step in steps}
    events = EventAccumulator(str(watched / "tensorboard")).Reload().Scalars("fid/classifier/train/70_samples/euler_4")
    assert [event.step for event in events] == list(steps)
    assert all(event.value > 0 for event in events)


def assert_every_cell_is_measured_by_both_features(rows: list[dict[str, str]]) -> None:
    assert list(dict.fromkeys(row["model"] for row in rows if not row["nfe"])) == [
        "couplings@round1",
        "couplings@round2",
    ]
    euler = [("euler", steps) for steps in (1, 2, 4)]
    expected = {
        # By configured solvers, and by the one that round1's couplings were drawn with.
        "teacher": [(name, steps) for name in ("ddim", "unipc") for steps in (1, 2, 4)] + [("unipc-quadratic", 4)],
        "round1": euler,
        "few_step": euler,
        "round2": euler,
    }
    # The steps of the headline's student and the ODEs that couplings were drawn along have more samples.
    more = {
        ("teacher", "unipc-quadratic", 4),
        ("round1", "euler", 4),
        ("few_step", "euler", 1),
        ("few_step", "euler", 2),
    }
    cells = [(model, *cell) for model, of_model in expected.items() for cell in of_model]
    for is_judge in ("False", "True"):
        found = [row for row in rows if row["nfe"] and row["is_judge"] == is_judge]
        assert len({row["features"] for row in found}) == 1
        for count, wanted in (("200", cells), ("400", [cell for cell in cells if cell in more])):
            of_count = [row for row in found if row["num_samples"] == count]
            assert [(row["model"], row["solver"], int(row["num_steps"])) for row in of_count] == wanted
    for row in rows:
        assert float(row["fid"]) > 0
        assert (row["features"] == "classifier") == (row["is_judge"] == "False")
        assert row["reference"] == "train"
        assert row["nfe"] in ("", row["num_steps"])


def assert_calls_were_planned(folder: Path) -> None:
    config = load_config(folder / "params.yaml")
    counted = {item.stage: item.compute for item in load_ledger(folder, config).stages if item.compute is not None}
    planned = {item.stage: (item.forward, item.backward) for item in planned_calls(config)}
    planned |= {item.stage: (item.forward, 0) for item in planned_measuring(config) if item.stage in counted}
    assert planned == {stage: (item.samples_forward, item.samples_backward) for stage, item in counted.items()}


def test_smoke_runs_from_nothing_to_the_table_and_then_rests(tmp_path: Path) -> None:
    fresh_copy(tmp_path)
    params = composed("preset=smoke")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run(tmp_path, "dvc", "repro")

    with (tmp_path / "metrics/few_step.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert_every_cell_is_measured_by_both_features(rows)
    assert_the_report_shows_the_cells(tmp_path, rows)
    assert_calls_were_planned(tmp_path)
    assert len(CouplingStore(tmp_path / "couplings/round2/store")) == 500

    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "models/few_step")
    image = pipeline(num_inference_steps=1, generator=torch.Generator().manual_seed(0)).images[0]
    assert image.size == (8, 8)
    assert "Data and pipelines are up to date" in run(tmp_path, "dvc", "repro")

    good = (tmp_path / "params.yaml").read_text()
    params["teacher"]["pretrained"] = "no/such/teacher"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    refused = call(tmp_path, "dvc", "repro")
    assert refused.returncode != 0
    assert "teacher.pretrained" in refused.stderr
    assert "Running stage 'teacher'" not in refused.stdout
    (tmp_path / "params.yaml").write_text(good)
    assert "Data and pipelines are up to date" in run(tmp_path, "dvc", "repro")
    assert_watching_changes_nothing(tmp_path, yaml.safe_load(good))
