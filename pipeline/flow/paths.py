"""Paths between noise and image, and their velocities, which students regress on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch

from pipeline.config.flow import PathConfig


def per_sample(t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Reshapes times (batch,) so that they broadcast over samples (batch, …)."""
    return t.reshape(-1, *([1] * (like.ndim - 1)))


def linear_path(x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """x_t = (1 - t) x_0 + t x_1 (Liu et al. 2022, eq. 1).

    Args:
        x_0: Noise, (batch, …).
        x_1: Images, same shape.
        t: Times in [0, 1], (batch,).
    """
    return torch.lerp(x_0, x_1, per_sample(t, x_0))


def linear_velocity(x_0: torch.Tensor, x_1: torch.Tensor) -> torch.Tensor:
    """dx_t/dt = x_1 - x_0 of the linear path (Liu et al. 2022, eq. 1)."""
    return x_1 - x_0


def conditional_ot_path(x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor, *, sigma_min: float) -> torch.Tensor:
    """x_t = (1 - (1 - sigma_min) t) x_0 + t x_1 (Lipman et al. 2023, eq. 22): noise of scale sigma_min stays at t = 1.

    Args:
        x_0: Noise, (batch, …).
        x_1: Images, same shape.
        t: Times in [0, 1], (batch,).
        sigma_min: Scale in [0, 1); 0 is the line of :func:`linear_path`.
    """
    t = per_sample(t, x_0)
    return (1 - (1 - sigma_min) * t) * x_0 + t * x_1


def conditional_ot_velocity(x_0: torch.Tensor, x_1: torch.Tensor, *, sigma_min: float) -> torch.Tensor:
    """dx_t/dt = x_1 - (1 - sigma_min) x_0 of the conditional OT path (Lipman et al. 2023, eq. 23)."""
    return x_1 - (1 - sigma_min) * x_0


class Path(NamedTuple):
    """A path between noise and image.

    Attributes:
        point: (x_0, x_1, t) → x_t.
        velocity: (x_0, x_1) → dx_t/dt, constant along every path here.
    """

    point: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


LINEAR = Path(linear_path, linear_velocity)
PATHS: dict[str, tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]] = {
    "linear": LINEAR,
    "conditional_ot": (conditional_ot_path, conditional_ot_velocity),
}


def build_path(config: PathConfig) -> Path:
    """The configured path."""
    return Path(*(partial(function, **config.parameters()) for function in PATHS[config.name]))
