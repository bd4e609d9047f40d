"""What a process is doing, in a small file that other processes may read while it runs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.leftovers import temporary_beside
from pipeline.system.processes import host, start_of
from pipeline.system.typed_content import NO_OTHER_KEYS, read_typed

SECONDS_BETWEEN_WRITES = 5.0
SILENT_SECONDS = 600.0
"""A process of another machine that has written nothing for so long counts as ended."""


@dataclass(frozen=True)
class TaskStatus:
    """How far a task is.

    Attributes:
        label: What is being done.
        done: Units of work done, those of earlier runs included.
        total: Units in all.
        unit: Name of one unit.
        rate: Units a second in this run.
        note: What is said of the last ones, such as their loss; empty if nothing is.
        began_at: When this run of the task began, in seconds since the epoch.
        written_at: When this was written, in the same way.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    label: str
    done: int
    total: int
    unit: str
    rate: float
    note: str
    began_at: float
    written_at: float

    def describe(self) -> str:
        """One line: how much is done, how fast, how long the rest takes at that rate, and the note."""
        parts = [f"{self.label}: {self.done:,}/{self.total:,} {self.unit}", f"{self.rate:,.1f} {self.unit}/s"]
        if self.done < self.total and self.rate > 0:
            parts.append(f"{(self.total - self.done) / self.rate:,.0f} s left")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)


@dataclass(frozen=True)
class ProcessStatus:
    """What one process is doing.

    Attributes:
        stage: The stage that it runs.
        process: Its number.
        start: When it began, as :func:`pipeline.system.processes.start_of` says.
        host: Its machine.
        task: Its last task.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    stage: str
    process: int
    start: str | None
    host: str
    task: TaskStatus

    def is_alive(self) -> bool:
        """Whether the process is running; of another machine, whether it wrote in the last ``SILENT_SECONDS``."""
        if self.host == host():
            return self.start is not None and start_of(self.process) == self.start
        return time.time() - self.task.written_at < SILENT_SECONDS


class StatusFile:
    """The file in which this process says what it is doing.

    Args:
        path: The file.
        stage: The stage that it runs.
    """

    def __init__(self, path: Path, stage: str) -> None:
        self._path, self._stage = path, stage
        self._last: float | None = None
        self._writable = True

    def is_due(self) -> bool:
        """Whether the last writing was ``SECONDS_BETWEEN_WRITES`` ago."""
        return self._last is None or time.monotonic() - self._last >= SECONDS_BETWEEN_WRITES

    def write(self, task: TaskStatus) -> None:
        """Says how far the task is. Where that cannot be written it says so once; the work itself goes on."""
        if not self._writable:
            return
        self._last = time.monotonic()
        status = ProcessStatus(self._stage, os.getpid(), start_of(os.getpid()), host(), task)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_beside(self._path)
            # Not flushed to the disk, which may take long: whoever ends the machine ends what this tells of.
            temporary.write_text(json.dumps(dataclasses.asdict(status)), "utf-8")
            temporary.replace(self._path)
        except OSError as error:
            self._writable = False
            print(f"{self._path} cannot be written ({one_line(error)}): progress is shown here alone", file=sys.stderr)

    def remove(self) -> None:
        """Removes the file, if it was written."""
        if self._last is not None and self._writable:
            self._path.unlink(missing_ok=True)


_current: ContextVar[StatusFile | None] = ContextVar("status_file", default=None)


def current_status_file() -> StatusFile | None:
    """The file of this process within :func:`kept_status`; None outside."""
    return _current.get()


@contextmanager
def kept_status(folder: Path, stage: str) -> Iterator[None]:
    """While it lasts, every :class:`pipeline.system.progress.Progress` of this process is told in a file in ``folder``.

    The file is found by its context and not handed on, as no loop whose progress it tells should know of it. It is
    removed at the end; those of processes that were killed are removed by the next one.
    """
    for path in folder.glob("*.json"):
        if _is_of_killed(path):
            path.unlink(missing_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_@-]', '-', stage)}.{os.getpid()}@{host()}.json"
    status_file = StatusFile(path, stage)
    token = _current.set(status_file)
    try:
        yield
    finally:
        _current.reset(token)
        status_file.remove()


def statuses(folder: Path) -> list[tuple[Path, ProcessStatus]]:
    """What is kept in ``folder``, by name of file: of running processes, and of those that were killed.

    Raises:
        StraightflowError: If one of the files is something else.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append((path, read_typed(path, ProcessStatus)))
        except FileNotFoundError:  # its process has ended meanwhile
            continue
        except ValueError as error:
            raise StraightflowError(
                expected=f"the status of a stage in {path}", found=one_line(error), mend=f"move it out of {folder}"
            ) from error
    return found


def _is_of_killed(path: Path) -> bool:
    """Whether it is the status of a process of this machine that has ended."""
    try:
        status = read_typed(path, ProcessStatus)
    except (OSError, ValueError):  # ended meanwhile, or of another version: no reason for a stage not to start
        return False
    return status.host == host() and not status.is_alive()
