"""What is done every so many steps."""

from __future__ import annotations


def is_due(step: int, every_steps: int | None) -> bool:
    """Whether something done every ``every_steps`` steps is done after ``step``, counted from 1; null is never."""
    return every_steps is not None and step % every_steps == 0
