"""The targets of the Makefile that compose, in folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from helpers.project_folders import ROOT, fresh_copy


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Calls make in ``folder``, which belongs to no repository around it."""
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def give_environment(folder: Path) -> None:
    """A .venv that passes for built: its programs run with this Python."""
    (folder / ".venv/bin").mkdir(parents=True)
    for name, call in (("python", ""), ("straightflow", " -m stages.commands")):
        program = folder / ".venv/bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable}{call} "$@"\n')
        program.chmod(0o755)
    (folder / ".venv/.complete").write_text(f"{folder.resolve()}\n")


def test_a_folder_without_git_is_told_so_before_anything_is_installed(tmp_path: Path) -> None:
    shutil.copy2(ROOT / "Makefile", tmp_path)
    for target in ("repro", "test"):
        done = make(tmp_path, target)
        assert done.returncode != 0
        assert "expected a git repository" in done.stderr
        assert "git init && git add -A && git commit -m start" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_check_composes_the_preset_with_its_settings_and_looks_at_it(tmp_path: Path) -> None:
    fresh_copy(tmp_path)
    give_environment(tmp_path)
    done = make(tmp_path, "check", "PRESET=toy_smoke", "ARGS=-S data.seed=2 -S 'evaluate.models=[flow]'")
    assert done.returncode == 0, done.stdout + done.stderr
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    assert (params["name"], params["data"]["seed"], params["evaluate"]["models"]) == ("toy_smoke", 2, ["flow"])
    assert "configuration: valid; images: bimodal_1d" in done.stdout
    assert (
        "note: params.yaml differs from preset toy_smoke in data.seed (2, composed 0), evaluate.models" in done.stderr
    )
    done = make(tmp_path, "check", "PRESET=smok")
    assert done.returncode != 0
    assert "preset 'smok', which does not exist; did you mean 'smoke'?" in done.stderr
