"""Shares of a batch by row, so that it is known without waiting for a device how many rows of each kind there are."""

from __future__ import annotations

from fractions import Fraction

import torch


def spread_share(count: int, share: Fraction) -> torch.Tensor:
    """Which of ``count`` rows belong to ``share`` of them, spread evenly, (count,) of bool.

    Any n consecutive rows have n · share of them, to less than one.
    """
    return torch.tensor([int((row + 1) * share) > int(row * share) for row in range(count)], dtype=torch.bool)


def most_outside(count: int, share: Fraction) -> int:
    """Most rows outside of ``share`` that a loss of ``count`` rows may have.

    A training step's rows follow one another; without gradients any rows may come.
    """
    return count - int(count * share) if torch.is_grad_enabled() else count


def rows_outside(inside: torch.Tensor, count: int) -> torch.Tensor:
    """Indices (count,) of rows that hold all which are not ``inside`` (batch,), if these are at most ``count``."""
    return torch.sort(inside.to(torch.uint8), stable=True).indices[:count]
