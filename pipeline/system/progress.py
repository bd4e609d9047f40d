"""Progress: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

PLAIN_LINE_SECONDS = 10.0


class Progress:
    """Progress of one task.

    On a terminal this is a tqdm bar. Elsewhere it prints one line at most every
    ``PLAIN_LINE_SECONDS``, and one at the end, so that logs stay readable.

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
        if self._bar is not None:
            self._bar.close()
        elif self._enabled and kind is None:
            self._print_line()

    def advance(self, units: int = 1, note: str | None = None) -> None:
        """Counts ``units`` as done and shows ``note`` (a loss, for example) from now on."""
        self._done += units
        if note is not None:
            self._note = note
        if self._bar is not None:
            if note is not None:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(units)
        elif self._enabled and time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._print_line()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        rate = (self._done - self._first) / max(self._last_line - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate > 0 else float("inf")
        parts = [f"{self._label}: {self._done:,}/{self._total:,} {self._unit}", f"{rate:,.1f} {self._unit}/s"]
        if self._done < self._total and rate > 0:
            parts.append(f"{left:,.0f} s left")
        if self._note:
            parts.append(self._note)
        print(", ".join(parts), file=self._stream, flush=True)
