"""Measuring with a clock that work moves."""

from __future__ import annotations

import pytest

from pipeline.system.stopwatch import affordable, median_seconds


class Work:
    """Takes a second and a tenth for each item; the first call ten seconds more."""

    def __init__(self) -> None:
        self.now, self.sizes = 0.0, [0]

    def __call__(self, size: int = 0) -> None:
        self.now += 1 + 0.1 * size + (10 if self.sizes == [0] else 0)
        self.sizes.append(size)

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("most", "seconds", "expected"),
    [
        (100, 2.0, 16),  # at 1 and 4 it takes less than 2 s, at 16 2.6 s
        (10, 2.0, 10),
        (100, 1.0, 1),
        (1, 2.0, 1),
    ],
)
def test_a_size_grows_until_its_work_takes_long_or_is_whole(most: int, seconds: float, expected: int) -> None:
    work = Work()
    assert affordable(work, most, seconds, work.clock) == expected
    assert max(work.sizes) <= expected


def test_the_median_leaves_out_the_first_call() -> None:
    work = Work()
    assert median_seconds(lambda: work(0), 5.5, work.clock) == pytest.approx(1.0)
    assert len(work.sizes) - 1 == 1 + 6  # one untimed; six seconds are the first over 5.5
    work = Work()
    median_seconds(lambda: work(0), 0.0, work.clock)
    assert len(work.sizes) - 1 == 1 + 3
