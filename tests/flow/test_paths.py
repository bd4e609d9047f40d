"""The conditional OT path and the rectified-flow line, side by side."""

from __future__ import annotations

import pytest
import torch

from pipeline.flow.paths import conditional_ot_path, conditional_ot_velocity, linear_path, linear_velocity
from pipeline.report.points.conditional_paths import X_1, conditional_paths_figure, path_difference
from pipeline.report.theme import DARK, LIGHT, Theme


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


def test_the_difference_shown_is_sigma_min_times_the_noise() -> None:
    x_0 = torch.randn(64, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    scale = float(x_0.square().mean().sqrt())
    for sigma_min in (0.5, 1e-3):
        found = path_difference(sigma_min, x_0, torch.full_like(x_0, 7.0))
        assert found == pytest.approx((sigma_min * scale, sigma_min * scale), rel=1e-7)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_figure_shows_both_paths_from_the_same_noise_to_the_same_point(theme: Theme) -> None:
    rectified, noisy, clean, difference = conditional_paths_figure((0.5, 1e-6), theme).axes
    drawn = [
        torch.stack([torch.tensor(line.get_ydata()) for line in panel.lines]) for panel in (rectified, noisy, clean)
    ]
    lines, noisy_lines, clean_lines = drawn
    torch.testing.assert_close(noisy_lines[:, 0], lines[:, 0])
    torch.testing.assert_close(lines[:, -1], torch.full_like(lines[:, -1], X_1))
    torch.testing.assert_close(noisy_lines[:, -1], X_1 + 0.5 * lines[:, 0])
    torch.testing.assert_close(clean_lines, lines, rtol=0, atol=1e-5)
    for line in difference.lines:
        sigma_min, shown = (torch.tensor(values) for values in line.get_data())
        torch.testing.assert_close((shown / sigma_min).log(), (shown[-1] / sigma_min[-1]).log().expand(len(shown)))
