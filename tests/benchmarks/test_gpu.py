"""The one command for a GPU host: rehearsed on a CPU, and what it does of parts that fail or find no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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


class Runs:
    """Stands in for running parts, each of which takes the time that it foretells, on a clock of its own.

    Attributes:
        limits: Names of the parts that were run, and the seconds that each was given.
        pages: Names of the parts on each page that was written.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limits: list[tuple[str, float]] = []
        self.pages: list[list[str]] = []
        self._now = 1000.0
        monkeypatch.setattr(gpu, "_run", self._run)
        monkeypatch.setattr(gpu, "time", SimpleNamespace(monotonic=lambda: self._now))

    def _run(self, part: Part, *, rehearsal: bool, limit: float) -> tuple[str, bool]:
        assert not rehearsal
        self.limits.append((part.name, limit))
        self._now += part.seconds
        return (f"{part.name} = 1\n", True) if part == WELL else ("FAILED with exit code 2:\n", False)

    def write(self, outputs: dict[str, str]) -> None:
        self.pages.append(list(outputs))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(monkeypatch)


def test_a_part_that_fails_is_said_the_others_go_on_and_only_it_runs_again(tmp_path: Path, runs: Runs) -> None:
    outputs = run_parts([BADLY, WELL], tmp_path, 100, runs.write)
    assert outputs == {"badly": "FAILED with exit code 2:\n", "well": "well = 1\n"}
    assert "## Badly (failed)" in write_page(outputs, "a card", rehearsal=False)
    assert run_parts([BADLY, WELL], tmp_path, 100, runs.write) == outputs
    assert runs.limits == [("badly", 30), ("well", 30), ("badly", 30)]


def test_no_part_is_started_that_may_end_too_late(tmp_path: Path, runs: Runs) -> None:
    assert run_parts([WELL], tmp_path, 9.0, runs.write) == {}
    assert runs.limits == []
    assert set(run_parts([WELL], tmp_path, 11.0, runs.write)) == {"well"}


def test_a_part_may_take_three_times_as_long_as_foretold_but_not_longer_than_is_left(
    tmp_path: Path, runs: Runs
) -> None:
    run_parts([BADLY, WELL, BADLY], tmp_path, 35.0, runs.write)
    assert runs.limits == [("badly", 30), ("well", 25), ("badly", 15)]


def test_the_page_is_written_after_each_part(tmp_path: Path, runs: Runs) -> None:
    run_parts([BADLY, WELL], tmp_path, 100, runs.write)
    assert runs.pages == [["badly"], ["badly", "well"]]


def test_every_part_fits_a_piece_of_ten_minutes() -> None:
    assert max(part.seconds for part in PARTS) <= 540
