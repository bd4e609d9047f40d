"""A folder of photographs without labels, as in README's first example of own data, from check to report, offline."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from helpers.photographs import save_photographs
from helpers.small_run import run_stages, small_run

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.system.errors import StraightflowError
from stages import classifier, data

# The settings of README's example.
EXAMPLE = ("data.source=folder", "data.location=pictures", "data.channels=3", "data.resolution=32")
ROTATIONS = (
    "features.rotation={num_steps: 40, num_features: 8}",
    "features.judge.rotation={num_steps: 40, num_features: 6}",
)


def configured(*overrides: str) -> Config:
    content = small_run(*ROTATIONS, *overrides)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_config(Path("params.yaml"))


def test_photographs_without_labels_are_measured_by_networks_that_need_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_photographs(Path("pictures"), 80)
    config = configured(*EXAMPLE)
    run_stages(config)
    trained = json.loads(Path("metrics/classifier.json").read_text())
    assert [trained[role]["features"] for role in ("first", "judge")] == ["rotation", "rotation-residual"]
    assert all(trained[role]["accuracy_heldout"] >= 0.4 for role in ("first", "judge"))
    with Path("metrics/few_step.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["model"] for row in rows} == {"couplings@round1", "teacher", "few_step"}
    assert "rotation" in {row["features"] for row in rows}
    assert all(row["features"].startswith("rotation") and float(row["fid"]) > 0 for row in rows)
    page = Path("report/index.html").read_text("utf-8")
    assert f"{100 * trained['first']['accuracy_heldout']:.1f} %" in page
    assert "held-out accuracy of rotation-residual features, the judge" in page


@pytest.mark.parametrize("role", ["features", "features.judge"])
def test_features_that_cannot_be_learned_are_refused(role: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_photographs(Path("pictures"), 20)
    config = configured(*EXAMPLE, f"{role}.rotation={{num_steps: 1, min_accuracy: 1.0}}")
    data.main(config, [])
    with pytest.raises(StraightflowError, match=rf"accuracy of at least 1\.0(.|\n)*raise {role}\.rotation\.num_steps"):
        classifier.main(config, [])
    assert not Path("models/classifier").exists()
