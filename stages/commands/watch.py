"""A live view of a run in progress, from the files that its stages keep: stage, rate, time left, loss, quick FID."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.task_status import ProcessStatus, TaskStatus, statuses
from pipeline.system.typed_content import read_typed
from pipeline.training.measured_fid import QUICK_FID, MeasuredFid
from stages import paths
from stages.commands.dvc_at_work import dvc_at_work

SECONDS_BETWEEN_VIEWS = 2.0
EXPERIMENTS = ".dvc/tmp/exps"
"""Below it DVC's queue runs each experiment in a copy of the project."""


def watch_run(*, once: bool) -> None:
    """Prints what the run in progress does, anew every two seconds until it ends.

    On a terminal a view takes the place of the one before; elsewhere it is printed when it has changed.

    Args:
        once: Print one view and return.

    Raises:
        StraightflowError: If a file that tells of a run is something else.
    """
    shown: list[str] = []
    while True:
        view = run_view(paths.PROJECT)
        if view is None:
            ended = "the run has ended" if shown else f"no run in progress in {paths.PROJECT.resolve()}"
            print(f"{ended}; `straightflow show` prints what was measured")
            return
        if view != shown:
            if shown and sys.stdout.isatty():
                print(f"\x1b[{len(shown)}F\x1b[J", end="")
            print(*view, sep="\n", flush=True)
        if once:
            return
        shown = view
        time.sleep(SECONDS_BETWEEN_VIEWS)


def run_view(project: Path) -> list[str] | None:
    """What runs in ``project`` and in the copies of it that DVC's queue made, in lines; None if nothing does."""
    lines = [line for folder in _places(project) for line in _lines(folder, project)]
    if lines:
        return lines
    at_work = dvc_at_work(project)
    return [f"DVC at work between two stages, process {', '.join(map(str, at_work))}"] if at_work else None


def running(project: Path) -> list[ProcessStatus]:
    """What the running stages of ``project`` itself do."""
    return [status for _, status in statuses(project / paths.PROGRESS) if status.is_alive()]


def _places(project: Path) -> list[Path]:
    return [project, *sorted(folder for folder in (project / EXPERIMENTS).glob("*") if folder.is_dir())]


def _lines(folder: Path, project: Path) -> Iterator[str]:
    for status in running(folder):
        where = "" if folder == project else f" of the experiment in {folder}"
        yield f"{status.stage}{where}, process {status.process} on {status.host}"
        yield f"  {status.task.describe()}"
        fid = _quick_fid(folder, status.task)
        if fid is not None:
            yield f"  FID {fid.fid:.4g} at step {fid.step:,} ({fid.name})"


def _quick_fid(folder: Path, task: TaskStatus) -> MeasuredFid | None:
    """The newest quick FID of a training, if it was measured since the task began."""
    path = folder / paths.watched(task.label) / QUICK_FID
    try:
        if path.stat().st_mtime < task.began_at:
            return None
        return read_typed(path, MeasuredFid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise StraightflowError(
            expected=f"a quick FID in {path}", found=one_line(error), mend="move the file elsewhere"
        ) from error
