"""Shards written by a thread while the next one is made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class ShardWriter:
    """Does one shard's writing at a time, in a thread; a context, which ends when all is written.

    An error of the thread is raised by the next call. If the block ends by another error, what was handed over is
    written first, as it is finished work.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def submit(self, write: Callable[[], None]) -> None:
        """Waits for the writing before, and begins this one."""
        self.wait()
        self._writing = self._thread.submit(write)

    def wait(self) -> None:
        """Waits until all is written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._thread:
            self.wait()
