"""Weights of the loss as functions of t, (batch,) → (batch,)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

Weighting = Callable[[torch.Tensor], torch.Tensor]


def uniform(t: torch.Tensor) -> torch.Tensor:
    """w(t) = 1 (Liu et al. 2022, eq. 1)."""
    return torch.ones_like(t)


def cosmap(t: torch.Tensor) -> torch.Tensor:
    """w(t) = 2 / (π (1 - 2t + 2t²)), the density of the cosine schedule (Esser et al. 2024, eq. 21)."""
    return 2 / (math.pi * (1 - 2 * t + 2 * t.square()))


def image_error(t: torch.Tensor) -> torch.Tensor:
    """w(t) = (1 - t)²: the velocity's L2 then is that of the image x_t + (1 - t) v it leads to."""
    return (1 - t).square()


WEIGHTINGS: dict[str, Weighting] = {"uniform": uniform, "cosmap": cosmap, "image_error": image_error}
