"""The conditional OT path and the rectified-flow line, side by side."""

from __future__ import annotations

import pytest
import torch

from pipeline.interpolation import conditional_ot_path, conditional_ot_velocity, linear_path, linear_velocity


@pytest.mark.parametrize("sigma_min", [0.3, 1e-2, 1e-4])
def test_the_conditional_ot_velocity_is_the_one_of_its_gaussian_path(sigma_min: float) -> None:
    """u_t(x) = (σ_t'/σ_t)(x - μ_t) + μ_t' with σ_t = 1 - (1 - σ_min) t, μ_t = t x_1, at x = σ_t x_0 + μ_t."""
    generator = torch.Generator().manual_seed(0)
    x_0, x_1 = (torch.randn(64, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.rand(64, generator=generator, dtype=torch.float64)
    sigma = 1 - (1 - sigma_min) * t[:, None]
    x_t = conditional_ot_path(x_0, x_1, t, sigma_min=sigma_min)
    torch.testing.assert_close(x_t, sigma * x_0 + t[:, None] * x_1)
    expected = -(1 - sigma_min) / sigma * (x_t - t[:, None] * x_1) + x_1
    torch.testing.assert_close(conditional_ot_velocity(x_0, x_1, sigma_min=sigma_min), expected)


def test_both_paths_and_velocities_meet_linearly_as_sigma_min_vanishes() -> None:
    generator = torch.Generator().manual_seed(1)
    x_0, x_1 = (torch.randn(64, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.rand(64, generator=generator, dtype=torch.float64)
    for sigma_min in (1e-1, 1e-3, 1e-6, 0.0):
        point = conditional_ot_path(x_0, x_1, t, sigma_min=sigma_min) - linear_path(x_0, x_1, t)
        torch.testing.assert_close(point, sigma_min * t[:, None] * x_0, rtol=1e-7, atol=1e-12)
        velocity = conditional_ot_velocity(x_0, x_1, sigma_min=sigma_min) - linear_velocity(x_0, x_1)
        torch.testing.assert_close(velocity, sigma_min * x_0, rtol=1e-7, atol=1e-12)
