"""Moves a lock file of DVC out of the way that a killed ``dvc`` left half written; ``make repro`` calls it.

DVC rewrites ``.dvc/tmp/rwlock`` in place. Killed in that moment it leaves the file empty or cut short, and every later
call fails with "JSON structure is corrupted", though nothing is held.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # comes with DVC
from dvc.lock import LockError, make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA
from voluptuous import Invalid

from pipeline.system.errors import StraightflowError
from stages import paths
from stages.entry import one_message


def repair_locks(project: Path) -> None:
    """Moves a read-write lock file of the project's DVC aside that is not one; one that is stays.

    Raises:
        StraightflowError: If it is not one, and a ``dvc`` is at work in the project, which may be about to write it.
    """
    folder = project / ".dvc/tmp"
    lock = folder / RWLOCK_FILE
    if _is_whole(lock):
        return
    at_work = _dvc_at_work(project)
    if at_work:
        raise _busy(lock, f"dvc running as process {', '.join(map(str, at_work))}")
    try:
        # What DVC itself holds while it writes the file.
        with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder)):
            if not _is_whole(lock):
                aside = lock.with_name(f"{RWLOCK_FILE}.damaged")
                lock.replace(aside)
                print(f"{lock} was cut short when dvc was killed; it is {aside} now", file=sys.stderr)
    except LockError as error:
        raise _busy(lock, "another dvc that is writing it") from error


def _is_whole(lock: Path) -> bool:
    try:
        SCHEMA(json.loads(lock.read_text("utf-8")))
    except FileNotFoundError:
        return True
    except (ValueError, Invalid):
        return False
    return True


def _dvc_at_work(project: Path) -> list[int]:
    """Processes that run DVC in the project's folder or below it."""
    found, root = [], project.resolve()
    for process in psutil.process_iter(["cmdline", "cwd"]):
        arguments, folder = process.info["cmdline"] or [], process.info["cwd"]
        # Its daemons look for updates and hold nothing.
        runs_dvc = any(Path(argument).name == "dvc" for argument in arguments[:3]) and "daemon" not in arguments
        if runs_dvc and folder is not None and Path(folder).is_relative_to(root):
            found.append(process.pid)
    return found


def _busy(lock: Path, found: str) -> StraightflowError:
    return StraightflowError(
        expected=f"a whole lock file of DVC at {lock}, or no dvc running in this project",
        found=f"a file that was cut short, and {found}",
        mend="wait until that dvc has ended, or stop it, and run `make repro` again, which then moves the file aside",
    )


if __name__ == "__main__":
    with one_message():
        repair_locks(paths.PROJECT)
