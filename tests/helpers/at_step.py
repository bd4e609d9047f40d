"""Calls a function at a given step of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pipeline.training.loop as training
from pipeline.config.training import TrainingConfig
from pipeline.training.loop import learning_rate_at


class Killed(BaseException):
    pass


def die() -> None:
    raise Killed


@contextmanager
def at_step(step: int, act: Callable[[], None]) -> Iterator[None]:
    """Inside the block, trainings call ``act`` when step ``step`` (counted from 0) begins."""

    def rate(asked: int, settings: TrainingConfig) -> float:
        if asked == step:
            act()
        return learning_rate_at(asked, settings)

    training.learning_rate_at = rate
    try:
        yield
    finally:
        training.learning_rate_at = learning_rate_at
