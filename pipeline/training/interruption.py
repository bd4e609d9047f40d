"""SIGTERM, which schedulers send before they kill a job, and Ctrl-C: noted at once, acted on between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator

_AGREE_EVERY_STEPS = 10


class StopRequest:
    """Whether this run has been asked to stop.

    Args:
        accelerator: Its processes agree on the answer, so that all of them save the same step.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._received = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Notes SIGTERM and the first SIGINT inside the block; call it in the main thread.

        A second SIGINT does what it did before. One that is ignored, as in a shell's background jobs, stays ignored.
        """

        def note(number: int, frame: FrameType | None) -> None:
            del frame
            self._received = True
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, before[signal.SIGINT])

        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number, handler in before.items():
            if number == signal.SIGTERM or handler is not signal.SIG_IGN:
                signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def made(self, step: int) -> bool:
        """Whether any process received it; several processes ask only every ten steps, as asking synchronises them."""
        if self._accelerator.num_processes == 1:
            return self._received
        if step % _AGREE_EVERY_STEPS:
            return False
        heard = torch.tensor(float(self._received), device=self._accelerator.device)
        return bool(self._accelerator.reduce(heard, "sum") > 0)
