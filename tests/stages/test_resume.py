"""A stage killed by SIGKILL, then stopped by SIGTERM, then left alone: all under DVC, and to the bit."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest
from helpers.composition import composed
from helpers.project_folders import OF_THIS_PROJECT, ROOT, bare_project, call

import pipeline.training.loop as training
from pipeline.config.data import DataConfig
from pipeline.config.loading import load_config
from pipeline.config.training import TrainingConfig
from pipeline.data.images import prepare_images
from pipeline.system.fingerprint import fingerprint_folder
from pipeline.training.loop import learning_rate_at
from stages.teacher import main

GRAPH = {
    "stages": {
        "teacher": {
            "cmd": f"{sys.executable} {ROOT / 'tests/helpers/stage_that_dies.py'}",
            "deps": ["data/images"],
            "outs": ["models/teacher", {"metrics/training/teacher.csv": {"cache": False}}],
        }
    }
}


def project(folder: Path) -> Path:
    params = composed(
        "preset=smoke", "compute.precision=fp32", "teacher.train.num_steps=14", "teacher.train.checkpoint_every_steps=4"
    )
    params["teacher"]["unet"]["dropout"] = 0.1
    bare_project(folder, params, GRAPH)
    prepare_images(DataConfig.model_validate(params["data"]), folder / "data/images")
    return folder


def checkpoints(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.glob("runs/*/step-*"))


@pytest.mark.usefixtures("one_thread")
def test_dvc_repro_goes_on_after_a_kill_and_after_sigterm_and_ends_as_if_neither_had_been(
    tmp_path: Path, monkeypatch
) -> None:
    interrupted = project(tmp_path / "interrupted")
    whole = tmp_path / "whole"
    shutil.copytree(interrupted, whole)
    monkeypatch.chdir(whole)
    main(load_config(Path("params.yaml")), [])

    (interrupted / "die_at").write_text(f"6 {int(signal.SIGKILL)}")
    assert call(interrupted, "dvc", "repro", **OF_THIS_PROJECT).returncode != 0
    assert checkpoints(interrupted) == ["step-000000004"]

    (interrupted / "die_at").write_text(f"9 {int(signal.SIGTERM)}")
    stopped = call(interrupted, "dvc", "repro", **OF_THIS_PROJECT)
    assert "exited with 75" in stopped.stderr + stopped.stdout
    assert "saved step 10 of 14; run the same command again to go on" in stopped.stderr
    assert checkpoints(interrupted) == ["step-000000008", "step-000000010"]

    done = call(interrupted, "dvc", "repro", **OF_THIS_PROJECT)
    assert done.returncode == 0, done.stderr
    assert fingerprint_folder(interrupted / "models/teacher") == fingerprint_folder(whole / "models/teacher")
    curves = [(folder / "metrics/training/teacher.csv").read_text() for folder in (whole, interrupted)]
    assert curves[0] == curves[1]
    assert checkpoints(interrupted) == []


@pytest.mark.usefixtures("one_thread")
def test_a_run_goes_on_when_what_changed_is_not_of_its_result(tmp_path: Path, monkeypatch) -> None:
    asked: list[int] = []
    fatal = {5}

    def rate(step: int, settings: TrainingConfig) -> float:
        asked.append(step)
        if step in fatal:
            fatal.clear()
            raise InterruptedError
        return learning_rate_at(step, settings)

    monkeypatch.chdir(project(tmp_path / "project"))
    monkeypatch.setattr(training, "learning_rate_at", rate)
    config = load_config(Path("params.yaml"))
    with pytest.raises(InterruptedError):
        main(config, [])

    def changed(**changes: object) -> list[int]:
        """Steps that are done with other settings of the training."""
        asked.clear()
        train = config.teacher.train.model_copy(update=changes)
        teacher = config.teacher.model_copy(update={"train": train})
        main(config.model_copy(update={"teacher": teacher}), [])
        return asked

    kept = Path("kept")
    shutil.copytree("runs", kept)
    saving_memory = {"gradient_accumulation_steps": 4, "gradient_checkpointing": True}
    assert changed(**saving_memory, checkpoint_every_steps=5, kept_checkpoints=1) == list(range(4, 14))
    shutil.rmtree("runs")
    kept.rename("runs")
    assert changed(learning_rate=1e-4) == list(range(14))
