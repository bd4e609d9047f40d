from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.system import task_status
from pipeline.system.errors import StraightflowError
from pipeline.system.processes import host, is_alive, start_of
from pipeline.system.progress import Progress
from pipeline.system.task_status import ProcessStatus, TaskStatus, kept_status, statuses

TASK = TaskStatus("round1", 30, 120, "steps", 2.0, "loss 0.5", 0.0, 0.0)


def ended_process() -> int:
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_line_says_how_much_how_fast_and_how_long_the_rest_takes() -> None:
    assert TASK.describe() == "round1: 30/120 steps, 2.0 steps/s, 45 s left, loss 0.5"
    assert dataclasses.replace(TASK, done=120, note="").describe() == "round1: 120/120 steps, 2.0 steps/s"


def test_progress_is_told_while_the_process_keeps_its_status_and_not_after(tmp_path: Path) -> None:
    with kept_status(tmp_path, "student@round1"):
        assert statuses(tmp_path) == []  # nothing has a length yet
        with Progress("round1", 4, "steps", done=1, stream=io.StringIO()) as progress:
            [(_, begun)] = statuses(tmp_path)
            progress.advance(3, note="loss 0.25")
        [(_, done)] = statuses(tmp_path)
        assert (begun.stage, begun.process, begun.host) == ("student@round1", os.getpid(), host())
        assert (begun.task.done, begun.task.total, begun.task.note) == (1, 4, "")
        assert (done.task.done, done.task.note, done.task.began_at) == (4, "loss 0.25", begun.task.began_at)
        assert done.is_alive()
        with Progress("round1", 4, "steps", enabled=False):  # of a process beside the main one
            assert [status.task.done for _, status in statuses(tmp_path)] == [4]
    assert list(tmp_path.iterdir()) == []
    with Progress("round1", 4, "steps", stream=io.StringIO()):
        assert list(tmp_path.iterdir()) == []


def test_status_is_written_when_it_is_due_and_not_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept_status(tmp_path, "teacher"), Progress("teacher", 9, "steps", stream=io.StringIO()) as progress:
        for seconds, seen in ((1e9, 0), (0.0, 2)):
            monkeypatch.setattr(task_status, "SECONDS_BETWEEN_WRITES", seconds)
            progress.advance()
            assert [status.task.done for _, status in statuses(tmp_path)] == [seen]


def test_what_a_killed_process_left_counts_as_ended_and_is_removed_by_the_next(tmp_path: Path) -> None:
    left, other, foreign = (tmp_path / f"{name}.json" for name in ("left", "other", "foreign"))
    dead = ProcessStatus("teacher", ended_process(), "1", host(), TASK)
    left.write_text(json.dumps(dataclasses.asdict(dead)))
    # The same number, given to a later process.
    reused = ProcessStatus("teacher", os.getpid(), "1", host(), TASK)
    assert [dead.is_alive(), reused.is_alive()] == [False, False]
    other.write_text(json.dumps(dataclasses.asdict(dataclasses.replace(dead, host="elsewhere"))))
    foreign.write_text("[]")
    with kept_status(tmp_path, "teacher"):
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == [foreign, other]  # another machine may run on; a file of someone else's stays
    with pytest.raises(StraightflowError, match=r"status of a stage in .*foreign\.json"):
        statuses(tmp_path)


def test_a_process_of_another_machine_counts_as_ended_when_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    far = ProcessStatus("teacher", 1, "1", "elsewhere", dataclasses.replace(TASK, written_at=1000.0))
    for now, alive in ((1000.0 + task_status.SILENT_SECONDS - 1, True), (1000.0 + task_status.SILENT_SECONDS, False)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert far.is_alive() is alive


def test_work_goes_on_where_its_status_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "progress").write_text("a file where the folder would be")
    with (
        kept_status(tmp_path / "progress", "teacher"),
        Progress("teacher", 2, "steps", stream=io.StringIO()) as progress,
    ):
        progress.advance(2)
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_processes_are_told_from_later_ones_of_the_same_number() -> None:
    assert is_alive(os.getpid())
    assert start_of(os.getpid()) == start_of(os.getpid()) != start_of(1)
    assert start_of(ended_process()) is None
