"""The flow map between two Gaussians, in closed form."""

from __future__ import annotations

import torch

from helpers.velocity_field import Field, end_of

STD = 0.4
"""Of the images, N(0, STD²); noise is N(0, 1), and both are independent."""


def gaussian_flow_map(scale: float = 1.0) -> Field:
    """Mean velocity ``scale`` · ((σ_r / σ_t - 1) / (r - t)) x of the flow that keeps x_t / σ_t, for scale 1.

    σ_t² = (1 - t)² + t² STD² is the variance of x_t. At r = t it is the velocity, σ_t' / σ_t · x; over a short step the
    velocity in its middle, times the growth until then.
    """

    def std(t: torch.Tensor) -> torch.Tensor:
        return ((1 - t) ** 2 + (t * STD) ** 2).sqrt()

    def rate(t: torch.Tensor) -> torch.Tensor:
        return (t * STD**2 - (1 - t)) / std(t)

    def mean_velocity(field: Field, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        end = end_of(label, x)
        short = end - t < 1e-2
        length = (end - t).masked_fill(short, 1)
        # (σ_r - σ_t) / (r - t) is σ' in the middle, to third order in the length.
        growth = torch.where(short, rate((t + end) / 2), (std(end) - std(t)) / length)
        return field.scale * growth / std(t) * x

    return Field(mean_velocity, scale=scale)


def independent_pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise and images, (count, 1) each."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, generator=generator), STD * torch.randn(count, 1, generator=generator)
