"""SIGTERM, which schedulers send before they kill a job: noted at once, acted on between two steps."""

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
        """Notes SIGTERM inside the block; call it in the main thread."""

        def note(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._received = True

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def made(self, step: int) -> bool:
        """Whether any process received it; several processes ask only every ten steps, as asking synchronises them."""
        if self._accelerator.num_processes == 1:
            return self._received
        if step % _AGREE_EVERY_STEPS:
            return False
        heard = torch.tensor(float(self._received), device=self._accelerator.device)
        return bool(self._accelerator.reduce(heard, "sum") > 0)
