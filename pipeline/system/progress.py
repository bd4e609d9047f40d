"""Progress: a bar with rate and time left on a terminal, plain lines elsewhere; kept in a file for others to read."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from pipeline.system.task_status import TaskStatus, current_status_file

PLAIN_LINE_SECONDS = 10.0


class Progress:
    """Progress of one task.

    On a terminal this is a tqdm bar. Elsewhere it prints one line at most every
    ``PLAIN_LINE_SECONDS``, and one at the end, so that logs stay readable. Within
    :func:`pipeline.system.task_status.kept_status` the file of the process is kept up to date as well.

    Args:
        label: What is being done.
        total: Units of work in all.
        unit: Name of one unit.
        done: Units finished before this run, counted in the bar but not in the rate.
        enabled: False silences it, for processes other than the main one.
        stream: Where to write; standard error by default.
    """

    def __init__(
        self, label: str, total: int, unit: str, *, done: int = 0, enabled: bool = True, stream: TextIO | None = None
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._label, self._total, self._unit = label, total, unit
        self._first, self._done = done, done
        self._enabled = enabled
        self._note = ""
        self._start = self._last_line = time.monotonic()
        self._began_at = time.time()
        self._status = current_status_file() if enabled else None
        if self._status is not None:
            self._status.write(self._told())
        self._bar: tqdm[Any] | None = None
        if enabled and self._stream.isatty():
            self._bar = tqdm(
                total=total, initial=done, desc=label, unit=unit, file=self._stream, dynamic_ncols=True, mininterval=0.2
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.write(self._told())
        if self._bar is not None:
            self._bar.close()
        elif self._enabled and kind is None:
            self._print_line()

    def advance(self, units: int = 1, note: str | None = None) -> None:
        """Counts ``units`` as done and shows ``note`` (a loss, for example) from now on."""
        self._done += units
        if note is not None:
            self._note = note
        if self._status is not None and self._status.is_due():
            self._status.write(self._told())
        if self._bar is not None:
            if note is not None:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(units)
        elif self._enabled and time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._print_line()

    def _told(self) -> TaskStatus:
        return TaskStatus(
            self._label, self._done, self._total, self._unit, self._rate(), self._note, self._began_at, time.time()
        )

    def _rate(self) -> float:
        """Units a second since this run began."""
        return (self._done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        print(self._told().describe(), file=self._stream, flush=True)
