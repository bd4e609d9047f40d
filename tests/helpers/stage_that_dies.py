"""stages.teacher, but the process sends itself a signal at a step; the file ``die_at`` holds "STEP SIGNAL"."""

from __future__ import annotations

import os
from pathlib import Path

import pipeline.training.loop as training
from pipeline.config.training import TrainingConfig
from pipeline.training.loop import learning_rate_at
from stages.entry import run
from stages.teacher import main

DIE_AT = Path("die_at")


def rate(step: int, config: TrainingConfig) -> float:
    if DIE_AT.exists():
        at, signal_number = map(int, DIE_AT.read_text().split())
        if step == at:
            DIE_AT.unlink()
            os.kill(os.getpid(), signal_number)
    return learning_rate_at(step, config)


if __name__ == "__main__":
    training.learning_rate_at = rate
    run(main)
