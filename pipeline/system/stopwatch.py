"""Measures in a few seconds how long work takes on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Clock = Callable[[], float]
GROWTH = 4
"""How much larger each trial is than the one before, until one takes long enough."""


def affordable(work: Callable[[int], object], most: int, seconds: float, clock: Clock = time.perf_counter) -> int:
    """The largest size of at most ``most`` that is reached by growing while ``work`` takes less than ``seconds``.

    Sizes start at 1. A slow machine is so never asked for more than GROWTH times that, and a size that is returned is
    one at which the time of a call itself no longer counts, or the whole.
    """
    work(1)  # what only the first call costs
    size = 1
    while size < most and duration(lambda: work(size), clock) < seconds:  # noqa: B023
        size = min(GROWTH * size, most)
    return size


def median_seconds(work: Callable[[], object], seconds: float, clock: Clock = time.perf_counter) -> float:
    """Median duration of ``work``, called again until ``seconds`` are over; three times at least, after one untimed."""
    work()
    durations: list[float] = []
    while len(durations) < 3 or sum(durations) < seconds:
        durations.append(duration(work, clock))
    return statistics.median(durations)


def duration(work: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Seconds of one call."""
    before = clock()
    work()
    return clock() - before
