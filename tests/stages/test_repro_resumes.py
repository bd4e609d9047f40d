"""A coupling stage killed under ``dvc repro``, and a second ``dvc repro``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from helpers.composition import composed
from helpers.project_folders import OF_THIS_PROJECT, ROOT, bare_project, call

from pipeline.config.loading import load_config
from pipeline.couplings.generation import generate_couplings
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
from pipeline.system.fingerprint import fingerprint_folder

GRAPH = {
    "stages": {
        "couplings": {
            "cmd": f"{sys.executable} {ROOT / 'tests/helpers/couplings_that_die.py'} round1",
            "deps": ["models/teacher"],
            "outs": ["couplings/round1/store"],
        }
    }
}


@pytest.mark.usefixtures("one_thread")
def test_dvc_repro_goes_on_with_the_shards_of_a_killed_one(tiny_unet, runtime, tmp_path: Path) -> None:
    params = composed("preset=smoke", "compute.precision=fp32")
    bare_project(tmp_path, params, GRAPH)
    save_teacher(tiny_unet, tmp_path / "models/teacher", training_scheduler())

    (tmp_path / "die_in_shard").write_text("1")
    killed = call(tmp_path, "dvc", "repro", **OF_THIS_PROJECT)
    # DVC sees the signal where its shell became the stage, and the shell's word for it where the shell stayed beside.
    assert killed.stderr.rstrip().endswith((f"exited with {-signal.SIGKILL}", f"exited with {128 + signal.SIGKILL}"))
    assert killed.returncode != 0
    assert not (tmp_path / "couplings/round1/store").exists()
    (work,) = (tmp_path / "runs").glob("couplings-*")
    assert [path.name for path in work.glob("shard*.json")] == ["shard-000000.safetensors.json"]

    finished = call(tmp_path, "dvc", "repro", **OF_THIS_PROJECT)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "shards_made").read_text().split() == ["0", "1", "2"]  # shard 0 once, before the kill
    config = load_config(tmp_path / "params.yaml").couplings["round1"]
    generate_couplings(
        load_sampler(tmp_path / "models/teacher", runtime), config, tmp_path / "other", tmp_path / "whole"
    )
    assert fingerprint_folder(tmp_path / "couplings/round1/store") == fingerprint_folder(tmp_path / "whole")
