"""The one command for a GPU host: rehearsed on a CPU, and what it does of parts that fail or find no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project_folders import ROOT

import benchmarks.gpu as gpu
from benchmarks.gpu import GOALS, PARTS, Part, run_parts, write_page

WELL = Part("well", "", "", "", 10)
BADLY = Part("badly", "", "", "", 10)


def test_the_rehearsal_runs_every_part_and_says_that_it_is_one(tmp_path: Path) -> None:
    done = subprocess.run(
        ["benchmarks/gpu.sh", "--rehearse", tmp_path / "page.md"],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text("utf-8")
    assert page.startswith("# On a CPU\n\n**A rehearsal")
    assert "FAILED" not in page
    assert all(f"## {part.name[0].upper()}{part.name[1:]}\n" in page for part in PARTS)
    rows = {row[0].strip(): row[1].strip() for line in page.splitlines() if len(row := line.split("|")[1:]) == 4}
    only_there = {"training ÷ TorchCFM's loop", "memory of a training step, MiB", "memory of training compiled, MiB"}
    assert {what for what, *_ in GOALS if rows[what] == "not measured"} <= only_there


def test_without_a_gpu_it_refuses_in_one_message() -> None:
    done = subprocess.run(
        ["benchmarks/gpu.sh"], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable,
                                              "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 2
    assert "everything to run on cuda" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def run(part: Part, *, rehearsal: bool) -> tuple[str, bool]:
        assert not rehearsal
        names.append(part.name)
        return (f"{part.name} = 1\n", True) if part == WELL else ("FAILED with exit code 2:\n", False)

    monkeypatch.setattr(gpu, "_run", run)
    return names


def test_a_part_that_fails_is_said_the_others_go_on_and_only_it_runs_again(tmp_path: Path, called: list[str]) -> None:
    outputs = run_parts([BADLY, WELL], tmp_path, 100)
    assert outputs == {"badly": "FAILED with exit code 2:\n", "well": "well = 1\n"}
    assert "## Badly (failed)" in write_page(outputs, "a card", rehearsal=False)
    assert run_parts([BADLY, WELL], tmp_path, 100) == outputs
    assert called == ["badly", "well", "badly"]


def test_no_part_is_started_that_may_end_too_late(tmp_path: Path, called: list[str]) -> None:
    assert run_parts([WELL], tmp_path, 9.0) == {}
    assert called == []
    assert set(run_parts([WELL], tmp_path, 11.0)) == {"well"}


def test_every_part_fits_a_piece_of_ten_minutes() -> None:
    assert max(part.seconds for part in PARTS) <= 540
