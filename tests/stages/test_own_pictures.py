"""A folder of photographs without labels, as in README's first example of own data, from check to report, offline."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from helpers.composition import composed
from helpers.photographs import save_photographs

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.system.errors import StraightflowError
from stages import assess, check, classifier, couplings, data, evaluate, report, student, teacher

# The settings of README's example; the others make it small.
EXAMPLE = ("data.source=folder", "data.location=pictures", "data.channels=3", "data.resolution=32")
SMALL = (
    "preset=smoke",
    "compute.precision=fp32",
    "teacher.unet.block_out_channels=[8,16]",
    *(
        f"{key}.{setting}"
        for key in ("teacher.train", "students.round1", "students.few_step")
        for setting in ("num_steps=4", "warmup_steps=0")
    ),
    "couplings.round1.num_pairs=40",
    "features.rotation={num_steps: 40, num_features: 8}",
    "features.judge.rotation={num_steps: 40, num_features: 6}",
    *(f"features.{key}.num_features=8" for key in ("classifier", "judge.classifier")),
    "evaluate.models=[teacher,few_step]",
    "evaluate.num_steps=[1,2]",
    "evaluate.teacher_solvers=[ddim]",
    "evaluate.num_samples=40",
    "evaluate.neighbours={num_samples: 20, k: 3}",
    "evaluate.kernel_distance.num_samples=20",
    "evaluate.straightness.num_samples=4",
)


def small_run(*overrides: str) -> Config:
    content = composed(*SMALL, *overrides)
    del content["couplings"]["round2"], content["students"]["round2"], content["gate"]["drift_allowed"]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_config(Path("params.yaml"))


def test_photographs_without_labels_are_measured_by_networks_that_need_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_photographs(Path("pictures"), 80)
    config = small_run(*EXAMPLE)
    for stage, arguments in (
        (check, []),
        (data, []),
        (classifier, []),
        (teacher, []),
        (couplings, ["round1"]),
        (assess, ["round1"]),
        (student, ["round1"]),
        (student, ["few_step"]),
        (evaluate, ["teacher"]),
        (evaluate, ["few_step"]),
        (report, []),
    ):
        stage.main(config, arguments)
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
    config = small_run(*EXAMPLE, f"{role}.rotation={{num_steps: 1, min_accuracy: 1.0}}")
    data.main(config, [])
    with pytest.raises(StraightflowError, match=rf"accuracy of at least 1\.0(.|\n)*raise {role}\.rotation\.num_steps"):
        classifier.main(config, [])
    assert not Path("models/classifier").exists()
