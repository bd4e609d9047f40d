from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest
from helpers.command_line import printed, refusal

from pipeline.system.processes import host
from pipeline.system.progress import Progress
from pipeline.system.task_status import kept_status, statuses
from stages import paths
from stages.commands import watch
from stages.entry import run as run_stage

ME = f"process {os.getpid()} on {host()}"


@pytest.fixture(autouse=True)
def _without_dvc(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setattr(watch, "dvc_at_work", lambda _: [])


def test_a_view_shows_stage_rate_time_left_loss_and_the_newest_fid(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = paths.watched("few_step")
    folder.mkdir(parents=True)
    quick = {"name": "fid/classifier/train/1000_samples/euler_4", "step": 20, "fid": 7.41}
    (folder / "quick_fid.json").write_text(json.dumps(quick | {"fid": 99.0}))
    os.utime(folder / "quick_fid.json", (0, 0))
    with (
        kept_status(paths.PROGRESS, "student@few_step"),
        Progress("few_step", 120, "steps", stream=io.StringIO()) as progress,
    ):
        # 30 steps in 15 s: 2 a second, and 45 s for the other 90.
        began = time.monotonic()
        with monkeypatch.context() as later:
            later.setattr("time.monotonic", lambda: began + 15)
            progress.advance(30, note="loss 0.123")
        shown = printed("watch", "--once").splitlines()
        assert shown[0] == f"student@few_step, {ME}"
        assert shown[1].startswith("  few_step: 30/120 steps, 2.0 steps/s, 45 s left, loss 0.123")
        assert len(shown) == 2  # the FID is of a run before
        (folder / "quick_fid.json").write_text(json.dumps(quick))
        assert printed("watch", "--once").splitlines()[2] == (
            "  FID 7.41 at step 20 (fid/classifier/train/1000_samples/euler_4)"
        )
        (folder / "quick_fid.json").write_text("{}")
        assert "a quick FID in watch/few_step" in refusal("watch", "--once")


def test_a_run_that_the_queue_started_is_shown_with_its_folder() -> None:
    copy = Path(".dvc/tmp/exps/tmpabc")
    with (
        kept_status(copy / paths.PROGRESS, "teacher"),
        Progress("teacher", 2, "steps", stream=io.StringIO()),
    ):
        assert printed("watch", "--once").splitlines()[0] == f"teacher of the experiment in {copy}, {ME}"


def test_the_view_ends_with_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    at_work = [[41], [41], []]
    monkeypatch.setattr(watch, "dvc_at_work", lambda _: at_work.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    watch.watch_run(once=False)
    assert capsys.readouterr().out.splitlines() == [
        "DVC at work between two stages, process 41",  # once, as nothing changed
        "the run has ended; `straightflow show` prints what was measured",
    ]
    assert at_work == []


def test_where_nothing_runs_it_says_so() -> None:
    assert printed("watch").startswith(f"no run in progress in {Path.cwd()}; ")


def test_every_stage_keeps_its_status_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/stages/student.py", "student@round1"])
    seen = []

    def stage(*_: object) -> None:
        with Progress("round1", 1, "steps", stream=io.StringIO()):
            seen.extend(status.stage for _, status in statuses(paths.PROGRESS))

    run_stage(stage)
    assert seen == ["student@round1"]
    assert list(paths.PROGRESS.iterdir()) == []
