"""Looks at what a killed ``dvc`` may have left half written; ``make repro`` calls it.

DVC rewrites ``.dvc/tmp/rwlock`` and ``dvc.lock`` in place. Killed in that moment it leaves them empty or cut short, and
every later call fails on them. Nothing is held by a read-write lock of a process that is gone, so that one is moved
aside. ``dvc.lock`` says which outputs belong to which inputs, so it is left to the user, with a copy of what is there.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from dvc.lock import LockError, make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.whole_files import read_bytes
from pipeline.system.yaml_text import parse_yaml
from stages import paths
from stages.commands.dvc_at_work import dvc_at_work
from stages.entry import one_message

LOCK_FILE = "dvc.lock"


def repair_locks(project: Path) -> None:
    """Moves a read-write lock file of the project's DVC aside that is not one; one that is stays.

    Raises:
        StraightflowError: If it is not one, and a ``dvc`` is at work in the project, which may be about to write it.
    """
    folder = project / ".dvc/tmp"
    lock = folder / RWLOCK_FILE
    if _is_whole(lock):
        return
    at_work = dvc_at_work(project)
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


def require_whole_record(project: Path) -> None:
    """Checks that DVC's record of the last run, ``dvc.lock``, is one; what is damaged is copied beside it.

    Raises:
        StraightflowError: If it is not. It stays as it is.
    """
    record = project / LOCK_FILE
    if not record.exists():
        return
    content = read_bytes(record)
    problem = _problem_of_record(content, str(record))
    if problem is None:
        return
    copies = (record.with_name(f"{LOCK_FILE}.damaged{number or ''}") for number in itertools.count())
    copy = next(path for path in copies if not path.exists() or read_bytes(path) == content)
    with atomic_file(copy) as temporary:
        temporary.write_bytes(content)
    raise StraightflowError(
        expected=f"DVC's record of the last run in {record}",
        found=f"{problem}; a dvc that is killed while it writes the file leaves it cut short. It is copied to {copy}",
        mend=f"restore the committed one, `git checkout {LOCK_FILE}`; no output is lost, and stages that ran since "
        "that commit are looked up in DVC's cache, or run again",
    )


def _problem_of_record(content: bytes, origin: str) -> str | None:
    try:
        parsed = parse_yaml(content.decode("utf-8"), origin=origin)
        COMPILED_LOCKFILE_SCHEMA(parsed)
    except StraightflowError as error:
        return error.found
    except (UnicodeDecodeError, Invalid) as error:
        return one_line(error)
    return None


def _busy(lock: Path, found: str) -> StraightflowError:
    return StraightflowError(
        expected=f"a whole lock file of DVC at {lock}, or no dvc running in this project",
        found=f"a file that was cut short, and {found}",
        mend="wait until that dvc has ended, or stop it, and run `make repro` again, which then moves the file aside",
    )


if __name__ == "__main__":
    with one_message():
        repair_locks(paths.PROJECT)
        require_whole_record(paths.PROJECT)
