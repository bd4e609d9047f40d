"""Paths between noise and image, and the velocities that a student regresses."""

from __future__ import annotations

import torch


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
