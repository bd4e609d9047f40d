"""What a training computes: counted on each process, added up over processes and over stretches of the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from pipeline.models.counted import NetworkCalls
from pipeline.models.flops import FlopsPerSample
from pipeline.models.sampler import Sampler
from pipeline.system.compute import NOTHING, Compute, total


class Spending:
    """Compute of a training since its first step; time runs from the making of this object.

    Args:
        flops: Of the trained network.
        accelerator: The processes that train.
        companions: Models that the method calls besides; what they computed before is not the training's.
    """

    def __init__(self, flops: FlopsPerSample, accelerator: Accelerator, companions: Sequence[Sampler] = ()) -> None:
        self.calls = NetworkCalls()
        self._flops, self._accelerator, self._companions = flops, accelerator, companions
        self._earlier = NOTHING
        self._begin()

    def _begin(self) -> None:
        """A stretch of the run begins."""
        self.calls.forward = self.calls.backward = 0
        self._calls_before = [companion.calls.copy() for companion in self._companions]
        self._began = time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside the block time does not count."""
        before = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - before

    def total(self) -> Compute:
        """Over all processes and stretches; every process must call it."""
        own = self._flops.compute(self.calls, time.monotonic() - self._began)
        before = zip(self._companions, self._calls_before, strict=True)
        own = total([own, *(companion.compute(since, seconds=0.0) for companion, since in before)])
        return total([self._earlier, *gather_object([own])])

    def state_dict(self) -> dict[str, Any]:
        """:meth:`total` for a checkpoint; every process must call it."""
        return asdict(self.total())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what stretches before spent, on any number of processes; what came in between is forgotten."""
        self._earlier = Compute(**state)
        self._begin()
