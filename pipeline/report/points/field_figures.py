"""Figures of velocity fields in one dimension: diverging heat maps over (t, x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from pipeline.config.noise import NoiseConfig
from pipeline.report.points.figures import Arrays
from pipeline.report.points.panels import label_axes, panels, set_title, time_axis
from pipeline.report.theme import LIGHT, Theme
from pipeline.toys.distributions import Toy

COLOUR_MAP = "RdBu_r"
PATH_COLOUR = "black"
"""Colour of trajectories on a heat map, whose own colours are the same on a dark and on a light background."""
DRAWN_PATHS = 40
SHOWN_SHARE = 0.98


def field_figure(models: Mapping[str, Arrays], toy: Toy, theme: Theme = LIGHT) -> Figure:
    """Velocity over (t, x) in one dimension, red up and blue down, with trajectories on it; one panel a model."""
    figure, (row,) = panels(1, len(models), theme, side=2.4, shared=True)
    limit = colour_limit(models)
    for axes, (name, arrays) in zip(row, models.items(), strict=True):
        mesh = draw_field(axes, arrays, limit)
        paths = arrays["trajectories"][:DRAWN_PATHS, :, 0].T
        axes.plot(arrays["times"], paths, color=PATH_COLOUR, linewidth=0.6, alpha=0.7)
        axes.set_ylim(*toy.extent)
        set_title(axes, name, theme)
    label_axes(row, "t", "x", theme)
    _colour_bar(figure, mesh, row, theme, extend="both")
    return figure


def exact_field_figure(name: str, flow: Arrays, toy: Toy, noise: NoiseConfig, theme: Theme = LIGHT) -> Figure:
    """Velocity of the flow ``name`` in one dimension, the closed form, and their difference, on one colour scale."""
    assert toy.mixture is not None
    positions, times = torch.from_numpy(flow["positions"]), torch.from_numpy(flow["times"])
    rows = [toy.mixture.velocity(positions[:, None], t.expand(len(positions)), noise)[:, 0] for t in times]
    exact = torch.stack(rows).numpy()
    figure, (row,) = panels(1, 3, theme, side=2.4, shared=True)
    shown = {f"{name}, learned": flow["field"], "exact": exact, "learned − exact": flow["field"] - exact}
    for axes, (title, values) in zip(row, shown.items(), strict=True):
        mesh = draw_field(axes, {**flow, "field": values}, float(np.abs(exact).max()))
        axes.set_ylim(*toy.extent)
        set_title(axes, title, theme)
    label_axes(row, "t", "x", theme)
    _colour_bar(figure, mesh, row, theme, extend="neither")
    return figure


def colour_limit(models: Mapping[str, Arrays]) -> float:
    """End of the colour scale that the fields of ``models`` share.

    A few extreme values lie beyond it: a diffusion teacher's velocity is singular at t = 0, and a scale that included
    it would leave all other fields pale.
    """
    return max(float(np.quantile(np.abs(arrays["field"]), SHOWN_SHARE)) for arrays in models.values())


def draw_field(axes: Axes, arrays: Arrays, limit: float) -> QuadMesh:
    """Draws ``field`` (T, P) at ``times`` (T,) and ``positions`` (P,) in colours from -limit to limit."""
    mesh = axes.pcolormesh(
        arrays["times"], arrays["positions"], arrays["field"].T,
        cmap=COLOUR_MAP, vmin=-limit, vmax=limit, shading="nearest",
    )  # fmt: skip
    time_axis(axes)
    return mesh


def _colour_bar(
    figure: Figure, mesh: QuadMesh, row: Sequence[Axes], theme: Theme, *, extend: Literal["neither", "both"]
) -> None:
    """``extend`` says whether the bar marks values beyond the scale, which take its last colours."""
    bar = figure.colorbar(mesh, ax=list(row), fraction=0.03, pad=0.01, extend=extend)
    bar.set_label("velocity dx/dt", color=theme.text, fontsize=7)
    bar.outline.set_edgecolor(theme.grid)
    bar.ax.tick_params(color=theme.grid, labelcolor=theme.text, labelsize=6)
