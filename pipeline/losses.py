"""Regression losses, one value per sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

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
    independent of image size. Their c' = 0.00054 sqrt(d) is c = 0.00054 here; the c' = 0.00054 d of
    Lee et al. 2024 (sec. 4.2) is c = 0.00054 sqrt(d).

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


LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "l2": l2,
    "pseudo_huber": pseudo_huber,
    # Of velocities; its perceptual part compares images and is added by the objective.
    "lpips_huber": pseudo_huber,
}


def build_loss(config: LossConfig) -> Loss:
    """The configured loss as a function of prediction and target."""
    return partial(LOSSES[config.name], **config.parameters())
