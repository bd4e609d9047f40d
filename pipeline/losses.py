"""Regression losses, one value per sample."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from pipeline.config import LossConfig

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def l2(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error over a sample's d entries.

    Args:
        prediction: (batch, …).
        target: Same shape.

    Returns:
        (batch,).
    """
    return (prediction - target).square().flatten(1).mean(dim=1)


def pseudo_huber(prediction: torch.Tensor, target: torch.Tensor, *, c: float) -> torch.Tensor:
    """sqrt(‖p - y‖² + c'²) - c' with c' = c sqrt(d) (Song & Dhariwal 2023, eq. 7), divided by sqrt(d).

    Quadratic for errors well below c per entry, linear above. Dividing by sqrt(d) makes the value
    independent of image size; c = 0.00054 is theirs, c = 0.00054 sqrt(d) that of Lee et al. 2024.

    Args:
        prediction: (batch, …), d entries a sample.
        target: Same shape.
        c: Scale per square root of dimension.

    Returns:
        (batch,).
    """
    error = (prediction - target).flatten(1)
    dimensions = error.shape[1]
    scale = c * math.sqrt(dimensions)
    return ((error.square().sum(dim=1) + scale**2).sqrt() - scale) / math.sqrt(dimensions)


def build_loss(config: LossConfig) -> Loss:
    """The configured loss as a function of prediction and target."""
    if config.name == "l2":
        return l2
    c = config.c
    assert c is not None  # the configuration guarantees it
    return lambda prediction, target: pseudo_huber(prediction, target, c=c)
