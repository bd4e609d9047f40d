"""The rectified flow's straight path beside the conditional OT path, which keeps some noise at t = 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.flow import PathConfig
from pipeline.flow.paths import LINEAR, Path, build_path
from pipeline.report.axes import new_figure, style
from pipeline.report.theme import LIGHT, Theme, cycle

X_1 = 2.0
NUM_LINES, NUM_TIMES = 25, 41
DPI = 90


def path_difference(sigma_min: float, x_0: torch.Tensor, x_1: torch.Tensor) -> tuple[float, float]:
    """Root mean square difference of the conditional OT path from the rectified flow's, in position and velocity.

    Both are sigma_min times the noise: the position at t = 1, where it differs most, and the velocity at every t.

    Args:
        sigma_min: Scale of the noise that stays.
        x_0: Noise, (batch, dim).
        x_1: Data, same shape.

    Returns:
        Differences of the points at t = 1, and of the velocities.
    """
    path, end = _conditional_ot(sigma_min), torch.ones(len(x_0), dtype=x_0.dtype)
    points = path.point(x_0, x_1, end) - LINEAR.point(x_0, x_1, end)
    velocities = path.velocity(x_0, x_1) - LINEAR.velocity(x_0, x_1)
    return float(points.square().mean().sqrt()), float(velocities.square().mean().sqrt())


def conditional_paths_figure(sigma_mins: Sequence[float], theme: Theme = LIGHT) -> Figure:
    """Paths from N(0, 1) to one data point: the rectified flow's, one panel per sigma_min, and their difference.

    The band of a panel is μ_t ± 2 σ_t, with μ_t = t x_1 and σ_t = 1 - (1 - sigma_min) t (Lipman et al. 2023, eq. 20).
    """
    figure = new_figure(2.2 * (len(sigma_mins) + 2), 2.5, DPI, theme)
    panels = [figure.add_subplot(1, len(sigma_mins) + 2, column + 1) for column in range(len(sigma_mins) + 2)]
    _draw_path(panels[0], LINEAR, 0.0, theme, "rectified flow")
    for axes, sigma_min in zip(panels[1:-1], sigma_mins, strict=True):
        _draw_path(axes, _conditional_ot(sigma_min), sigma_min, theme, f"conditional OT, σ_min = {sigma_min:g}")
    _draw_difference(panels[-1], theme)
    for axes in panels:
        axes.tick_params(labelsize=6)
    return figure


def _conditional_ot(sigma_min: float) -> Path:
    return build_path(PathConfig(name="conditional_ot", sigma_min=sigma_min))


def _draw_path(axes: Axes, path: Path, sigma_min: float, theme: Theme, title: str) -> None:
    style(axes, theme)
    times = torch.linspace(0, 1, NUM_TIMES)
    # Quantiles of the noise instead of random draws: the same lines in every panel, as dense as the noise.
    x_0 = torch.special.ndtri((torch.arange(NUM_LINES) + 0.5) / NUM_LINES)
    x_1 = torch.full_like(x_0, X_1)
    states = torch.stack([path.point(x_0, x_1, t.expand(NUM_LINES)) for t in times])
    mean, scale = times * X_1, 1 - (1 - sigma_min) * times
    axes.fill_between(times, mean - 2 * scale, mean + 2 * scale, color=cycle(theme.students, 1), alpha=0.25, lw=0)
    axes.plot(times, states, color=cycle(theme.students, 0), linewidth=0.6)
    axes.set(xlim=(0, 1), ylim=(-2.4, 3.4))
    axes.set_xlabel("t", color=theme.text, fontsize=7)
    axes.set_ylabel("x", color=theme.text, fontsize=7)
    axes.set_title(title, color=theme.text, fontsize=8)


def _draw_difference(axes: Axes, theme: Theme) -> None:
    style(axes, theme)
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randn(4096, 1, generator=generator, dtype=torch.float64)
    sigma_mins = np.logspace(-4, -0.3, 20)
    points, velocities = zip(*(path_difference(s, x_0, torch.full_like(x_0, X_1)) for s in sigma_mins), strict=True)
    axes.loglog(sigma_mins, velocities, color=cycle(theme.students, 0), label="velocity")
    axes.loglog(sigma_mins, points, ":", color=cycle(theme.students, 1), linewidth=3, label="x at t = 1")
    axes.set_xlabel("σ_min", color=theme.text, fontsize=7)
    axes.set_title("root mean square difference", color=theme.text, fontsize=8)
    axes.legend(frameon=False, labelcolor=theme.text, fontsize=7)
