"""Figures of points: fields with trajectories, paths, histograms, and distances by step count.

Every function returns a new ``matplotlib.figure.Figure`` and measures nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config import TEACHER, NoiseConfig
from pipeline.interpolation import linear_path
from pipeline.noise import place_noise
from pipeline.report.axes import log_axis, step_axis, style
from pipeline.report.theme import LIGHT, Theme, cycle
from pipeline.toys.distributions import Toy
from pipeline.toys.row import PointRow

DPI = 110
SHOWN_LINES = 60
TIME_TICKS = (0, 0.5, 1)
Arrays = Mapping[str, np.ndarray]


def distance_figure(rows: Sequence[PointRow], theme: Theme = LIGHT) -> Figure:
    """Sliced Wasserstein distance (log) by steps (log2): a line for each model and solver.

    Horizontal are adaptive solvers, which choose their steps (dotted), and what sampling alone leaves (dashed).
    """
    models = [row for row in rows if row.nfe is not None]
    figure, ((axes,),) = _panels(1, 1, theme, side=3.6, width=5.2)
    style(axes, theme)
    colours = theme.colours(row.model for row in models)
    for model, solver in dict.fromkeys((row.model, row.solver) for row in models):
        cells = [(r.num_steps, r.sliced_wasserstein) for r in models if (r.model, r.solver) == (model, solver)]
        colour, label = colours[model], f"{model} · {solver}"
        if cells[0][0] is None:
            axes.axhline(cells[0][1], color=colour, linestyle=":", label=label)
        else:
            axes.plot(*zip(*cells, strict=True), color=colour, marker="o", label=label)
    axes.axhline(
        models[0].sliced_wasserstein_floor, color=theme.text, linestyle="--", linewidth=1, label="fresh points"
    )
    step_axis(axes, sorted({row.num_steps for row in models if row.num_steps is not None}))
    log_axis(axes, "y", [row.sliced_wasserstein for row in models])
    axes.set_xlabel("steps", color=theme.text)
    axes.set_ylabel("sliced Wasserstein distance", color=theme.text)
    axes.legend(frameon=False, labelcolor=theme.text, fontsize=8)
    return figure


def trajectories_figure(models: Mapping[str, Arrays], toy: Toy, noise: NoiseConfig, theme: Theme = LIGHT) -> Figure:
    """The straight lines of independent pairs, which cross, and each model's trajectories beside them."""
    figure, grid = _panels(1, 1 + len(models), theme, shared=True)
    times = np.linspace(0, 1, 21, dtype=np.float32)
    paths = {"independent pairs": (times, independent_paths(toy, noise, times, SHOWN_LINES))}
    paths |= {name: (arrays["times"], arrays["trajectories"][:SHOWN_LINES]) for name, arrays in models.items()}
    for axes, (name, (at, states)) in zip(grid[0], paths.items(), strict=True):
        _draw_paths(axes, at, states, toy, theme, name)
    return figure


def histogram_figure(models: Mapping[str, Arrays], toy: Toy, theme: Theme = LIGHT) -> Figure:
    """Samples at each step count: a row for each model and solver, the data below."""
    cells = {name: sorted((key for key in arrays if "/" in key), key=_order) for name, arrays in models.items()}
    columns = max(len(keys) for keys in cells.values())
    figure, grid = _panels(len(models) + 1, columns, theme, side=1.5)
    for row, (name, keys) in enumerate(cells.items()):
        for column, key in enumerate(keys):
            solver, steps = key.split("/")
            _draw_density(grid[row][column], models[name][key], toy, theme, f"{name} · {solver} · {steps}")
    num = len(next(iter(models.values()))[cells[next(iter(models))][0]])
    fresh = toy.sample(num, torch.Generator().manual_seed(0)).numpy()
    _draw_density(grid[-1][0], fresh, toy, theme, "data")
    unused = grid[-1][1:]
    for panels, keys in zip(grid[:-1], cells.values(), strict=True):
        unused += panels[len(keys) :]
    for axes in unused:
        axes.set_axis_off()
    return figure


def _order(key: str) -> tuple[str, float]:
    """By solver, then by steps."""
    solver, steps = key.split("/")
    return solver, math.inf if steps == "adaptive" else int(steps)


def path_density_figure(models: Mapping[str, Arrays], toy: Toy, noise: NoiseConfig, theme: Theme = LIGHT) -> Figure:
    """Where paths are between noise (t = 0) and data (t = 1): independent pairs first, then each model."""
    times = np.linspace(0, 1, 51, dtype=np.float32)
    paths = {"independent pairs": (times, independent_paths(toy, noise, times, 4000))}
    paths |= {name: (arrays["times"], arrays["trajectories"]) for name, arrays in models.items()}
    if toy.dim == 1:
        figure, grid = _panels(1, len(paths), theme, shared=True)
        for axes, (name, (at, states)) in zip(grid[0], paths.items(), strict=True):
            t = np.broadcast_to(at, states.shape[:2])
            axes.hist2d(t.ravel(), states[..., 0].ravel(), bins=(len(at), 60), range=((0, 1), toy.extent), cmap="magma")
            axes.set_xticks(TIME_TICKS)
            _title(axes, name, theme)
        return figure
    moments = (0.0, 0.25, 0.5, 0.75, 1.0)
    figure, grid = _panels(len(paths), len(moments), theme, side=1.5)
    for row, (name, (at, states)) in zip(grid, paths.items(), strict=True):
        for axes, moment in zip(row, moments, strict=True):
            _draw_density(axes, states[:, int(np.abs(at - moment).argmin())], toy, theme, f"{name} · t = {moment:g}")
    return figure


def field_figure(models: Mapping[str, Arrays], toy: Toy, theme: Theme = LIGHT) -> Figure:
    """Velocity over (t, x) in one dimension, red up and blue down, with trajectories on it; one panel a model."""
    figure, grid = _panels(1, len(models), theme, side=2.4, shared=True)
    limit = max(float(np.abs(arrays["field"]).max()) for arrays in models.values())
    for axes, (name, arrays) in zip(grid[0], models.items(), strict=True):
        _draw_field(axes, arrays["times"], arrays["positions"], arrays["field"], limit, theme, name)
        axes.plot(arrays["times"], arrays["trajectories"][:40, :, 0].T, color="black", linewidth=0.6, alpha=0.7)
        axes.set_ylim(*toy.extent)
    return figure


def exact_field_figure(flow: Arrays, toy: Toy, noise: NoiseConfig, theme: Theme = LIGHT) -> Figure:
    """A flow's velocity in one dimension, the closed form, and their difference on the same scale of colours."""
    assert toy.mixture is not None
    positions, times = torch.from_numpy(flow["positions"]), torch.from_numpy(flow["times"])
    rows = [toy.mixture.velocity(positions[:, None], t.expand(len(positions)), noise)[:, 0] for t in times]
    exact = torch.stack(rows).numpy()
    figure, grid = _panels(1, 3, theme, side=2.4, shared=True)
    panels = {"learned": flow["field"], "exact": exact, "learned − exact": flow["field"] - exact}
    for axes, (name, values) in zip(grid[0], panels.items(), strict=True):
        _draw_field(axes, flow["times"], flow["positions"], values, float(np.abs(exact).max()), theme, name)
    return figure


def independent_paths(toy: Toy, noise: NoiseConfig, times: np.ndarray, num: int) -> np.ndarray:
    """Straight lines between independent noise and data, (num, T, dim)."""
    generator = torch.Generator().manual_seed(1)
    x_1 = toy.sample(num, generator)
    x_0 = place_noise(torch.randn(x_1.shape, generator=generator), noise)
    return torch.stack([linear_path(x_0, x_1, torch.full((num,), float(t))) for t in times], dim=1).numpy()


def _panels(
    rows: int, columns: int, theme: Theme, *, side: float = 2.0, width: float | None = None, shared: bool = False
) -> tuple[Figure, list[list[Axes]]]:
    """A grid of panels; ``shared`` gives all of them the same axes, numbered at the left and at the bottom alone."""
    size = (width or side * columns + 0.4, side * rows + 0.4)
    figure = Figure(figsize=size, dpi=DPI, facecolor=theme.ground, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).tolist()
    for axes in itertools.chain.from_iterable(grid):
        axes.set_facecolor(theme.ground)
        axes.spines[:].set_color(theme.grid)
        axes.tick_params(color=theme.grid, labelcolor=theme.text, labelsize=6)
    return figure, grid


def _title(axes: Axes, text: str, theme: Theme) -> None:
    axes.set_title(text, color=theme.text, fontsize=7)


def _draw_paths(axes: Axes, times: np.ndarray, states: np.ndarray, toy: Toy, theme: Theme, title: str) -> None:
    """Trajectories (num, T, dim): over t in one dimension, in the plane in two, noise grey and data coloured."""
    colour, grey = cycle(theme.students, 0), theme.colours([TEACHER])[TEACHER]
    if toy.dim == 1:
        axes.plot(times, states[..., 0].T, color=colour, linewidth=0.6, alpha=0.6)
        axes.set(xlim=(0, 1), xticks=TIME_TICKS, ylim=toy.extent)
    else:
        axes.plot(states[..., 0].T, states[..., 1].T, color=colour, linewidth=0.5, alpha=0.6)
        axes.scatter(states[:, 0, 0], states[:, 0, 1], s=4, color=grey, zorder=3)
        axes.scatter(states[:, -1, 0], states[:, -1, 1], s=4, color=cycle(theme.students, 1), zorder=3)
        axes.set(xlim=toy.extent, ylim=toy.extent, aspect="equal")
    _title(axes, title, theme)


def _draw_density(axes: Axes, points: np.ndarray, toy: Toy, theme: Theme, title: str) -> None:
    if toy.dim == 1:
        axes.hist(
            points[:, 0], bins=60, range=toy.extent, density=True, histtype="stepfilled", color=cycle(theme.students, 0)
        )
        if toy.mixture is not None:
            x = torch.linspace(*toy.extent, 200)
            axes.plot(x, toy.mixture.log_prob(x[:, None]).exp(), color=theme.text, linewidth=0.8)
    else:
        axes.hist2d(points[:, 0], points[:, 1], bins=60, range=(toy.extent, toy.extent), cmap="magma")
        axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    _title(axes, title, theme)


def _draw_field(
    axes: Axes, times: np.ndarray, positions: np.ndarray, values: np.ndarray, limit: float, theme: Theme, title: str
) -> None:
    axes.pcolormesh(times, positions, values.T, cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest")
    axes.set(xlim=(0, 1), xticks=TIME_TICKS)
    axes.set_xlabel("t", color=theme.text, fontsize=7)
    axes.set_ylabel("x", color=theme.text, fontsize=7)
    _title(axes, title, theme)
