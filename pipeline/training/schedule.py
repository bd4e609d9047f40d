"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from pipeline.config.training import TrainingConfig


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Learning rate of optimizer step ``step`` (from 0): linear warm-up, then the configured decay to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(config.num_steps - config.warmup_steps, 1)
    factor = {"constant": 1.0, "linear": 1 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share))}
    return config.learning_rate * factor[config.lr_decay]


def is_due(step: int, every_steps: int | None) -> bool:
    """Whether something done every ``every_steps`` steps is done after ``step``, counted from 1; null is never."""
    return every_steps is not None and step % every_steps == 0
