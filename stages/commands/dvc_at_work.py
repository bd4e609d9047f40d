"""Whether DVC is at work in a project, and keeping its stages out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.fs import localfs
from dvc.lock import LockError
from dvc.rwlock import rwlock

from pipeline.system.errors import StraightflowError, one_line


def dvc_at_work(project: Path) -> list[int]:
    """Processes of this machine that run DVC in the project's folder or below it, as proc(5) lists them.

    Between two stages nothing else says that a run is in progress.
    """
    found, root = [], project.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = os.fsdecode((process / "cmdline").read_bytes()).split("\0")
            folder = (process / "cwd").resolve(strict=True)
        except OSError:  # it has ended, or is of another user
            continue
        # Its daemons look for updates and hold nothing.
        runs_dvc = any(Path(argument).name == "dvc" for argument in arguments[:3]) and "daemon" not in arguments
        if runs_dvc and folder.is_relative_to(root):
            found.append(int(process.name))
    return sorted(found)


@contextmanager
def read_by_no_stage(path: Path, *, command: str, meanwhile: str) -> Iterator[None]:
    """Holds DVC's write lock on ``path``, of which every running stage holds the read lock.

    Raises:
        StraightflowError: If a stage is running; ``meanwhile`` says what it may not run beside. ``command`` is what DVC
            tells those that are kept out.
    """
    locks = Path(".dvc/tmp").resolve()
    locks.mkdir(parents=True, exist_ok=True)
    try:
        with rwlock(str(locks), localfs, command, [], [str(path.resolve())], False):
            yield
    except LockError as error:
        raise StraightflowError(
            expected=f"no running stage while {meanwhile}",
            found=one_line(error),
            mend="wait until that run ends, or stop it",
        ) from error
