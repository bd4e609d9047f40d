"""Figures of points: trajectories, densities of paths, histograms, and distances by step count.

Every function returns a new ``matplotlib.figure.Figure`` and measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.config.model_names import TEACHER
from pipeline.config.noise import NoiseConfig
from pipeline.flow.noise import place_noise
from pipeline.flow.paths import linear_path
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.row import parse_samples_key
from pipeline.report.axes import log_axis, step_axis, style
from pipeline.report.points.panels import label_axes, panels, set_title, time_axis
from pipeline.report.step_table import steps_in_words
from pipeline.report.theme import LIGHT, Theme, cycle
from pipeline.toys.distributions import Toy

SHOWN_LINES = 60
BINS_OF_A_LINE, BINS_OF_A_SIDE = 60, 36
Arrays = Mapping[str, np.ndarray]


def distance_figure(rows: Sequence[PointRow], theme: Theme = LIGHT) -> Figure:
    """Sliced Wasserstein distance (log) by steps (log2): a line for each model and solver.

    Horizontal lines are adaptive solvers, which choose their own steps (dotted), and the sampling noise (dashed).
    """
    models = [row for row in rows if not row.is_couplings]
    figure, ((axes,),) = panels(1, 1, theme, side=3.6, width=5.2)
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
    figure, (row,) = panels(1, 1 + len(models), theme, below=0.0 if toy.dim == 1 else 0.25, shared=True)
    times = np.linspace(0, 1, 21, dtype=np.float32)
    paths = {"independent pairs": (times, independent_paths(toy, noise, times, SHOWN_LINES))}
    paths |= {name: (arrays["times"], arrays["trajectories"][:SHOWN_LINES]) for name, arrays in models.items()}
    for axes, (name, (at, states)) in zip(row, paths.items(), strict=True):
        _draw_paths(axes, at, states, toy, theme, name)
    if toy.dim == 1:
        label_axes(row, "t", "x", theme)
    else:
        # A legend of the figure, which the layout places; one inside a panel would cover points.
        figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False,
                      labelcolor=theme.text, fontsize=7)  # fmt: skip
    return figure


def histogram_figure(models: Mapping[str, Arrays], toy: Toy, theme: Theme = LIGHT) -> Figure:
    """Samples at each step count: a row for each model, and fresh data below, whose axes have ticks.

    In one dimension a line shows the exact density if there is a closed form.
    """
    cells = {name: sorted((key for key in arrays if "/" in key), key=_order) for name, arrays in models.items()}
    columns = max(len(keys) for keys in cells.values())
    figure, grid = panels(len(models) + 1, columns, theme, side=1.5)
    for row, (name, keys) in enumerate(cells.items()):
        for column, key in enumerate(keys):
            solver, num_steps = parse_samples_key(key)
            words = steps_in_words(num_steps)
            _draw_density(grid[row][column], models[name][key], toy, theme, f"{name} · {solver}\n{words}")
    num = len(next(iter(models.values()))[cells[next(iter(models))][0]])
    fresh = toy.sample(num, torch.Generator().manual_seed(0)).numpy()
    exact = toy.dim == 1 and toy.mixture is not None
    _draw_density(grid[-1][0], fresh, toy, theme, "data, and its density" if exact else "data", numbered=True)
    unused = grid[-1][1:]
    for row_of_panels, keys in zip(grid[:-1], cells.values(), strict=True):
        unused += row_of_panels[len(keys) :]
    for axes in unused:
        axes.set_axis_off()
    return figure


def _order(key: str) -> tuple[str, float]:
    """By solver, then by steps."""
    solver, num_steps = parse_samples_key(key)
    return solver, num_steps or math.inf


def path_density_figure(models: Mapping[str, Arrays], toy: Toy, noise: NoiseConfig, theme: Theme = LIGHT) -> Figure:
    """Density of paths between noise (t = 0) and data (t = 1): independent pairs first, then each model."""
    times = np.linspace(0, 1, 51, dtype=np.float32)
    paths = {"independent pairs": (times, independent_paths(toy, noise, times, 4000))}
    paths |= {name: (arrays["times"], arrays["trajectories"]) for name, arrays in models.items()}
    if toy.dim == 1:
        figure, (panels_of_paths,) = panels(1, len(paths), theme, shared=True)
        for axes, (name, (at, states)) in zip(panels_of_paths, paths.items(), strict=True):
            _draw_density_over_time(axes, at, states[..., 0], toy)
            set_title(axes, name, theme)
        label_axes(panels_of_paths, "t", "x", theme)
        return figure
    moments = (0.0, 0.25, 0.5, 0.75, 1.0)
    figure, grid = panels(len(paths), len(moments), theme, side=1.5)
    for row, (name, (at, states)) in zip(grid, paths.items(), strict=True):
        for axes, moment in zip(row, moments, strict=True):
            _draw_density(axes, states[:, int(np.abs(at - moment).argmin())], toy, theme, f"{name} · t = {moment:g}")
    return figure


def independent_paths(toy: Toy, noise: NoiseConfig, times: np.ndarray, num: int) -> np.ndarray:
    """Straight lines between independent noise and data, (num, T, dim)."""
    generator = torch.Generator().manual_seed(1)
    x_1 = toy.sample(num, generator)
    x_0 = place_noise(torch.randn(x_1.shape, generator=generator), noise)
    return torch.stack([linear_path(x_0, x_1, torch.full((num,), float(t))) for t in times], dim=1).numpy()


def _draw_paths(axes: Axes, times: np.ndarray, states: np.ndarray, toy: Toy, theme: Theme, title: str) -> None:
    """Trajectories (num, T, dim): over t in one dimension, in the plane in two, noise grey and data coloured."""
    colour, grey = cycle(theme.students, 0), theme.colours([TEACHER])[TEACHER]
    if toy.dim == 1:
        axes.plot(times, states[..., 0].T, color=colour, linewidth=0.6, alpha=0.6)
        time_axis(axes)
        axes.set_ylim(*toy.extent)
    else:
        axes.plot(states[..., 0].T, states[..., 1].T, color=colour, linewidth=0.5, alpha=0.6)
        axes.scatter(states[:, 0, 0], states[:, 0, 1], s=4, color=grey, zorder=3, label="start")
        end = cycle(theme.students, 1)
        axes.scatter(states[:, -1, 0], states[:, -1, 1], s=4, color=end, zorder=3, label="end")
        axes.set(xlim=toy.extent, ylim=toy.extent, aspect="equal")
    set_title(axes, title, theme)


def _draw_density_over_time(axes: Axes, times: np.ndarray, positions: np.ndarray, toy: Toy) -> None:
    """A histogram of positions (num, T) at every time (T,)."""
    edges = np.linspace(*toy.extent, BINS_OF_A_LINE + 1)
    counts = [np.histogram(at_one_time, edges)[0] for at_one_time in positions.T]
    axes.pcolormesh(times, (edges[:-1] + edges[1:]) / 2, np.transpose(counts), cmap="magma", shading="nearest")
    time_axis(axes)
    axes.set_ylim(*toy.extent)


def _draw_density(
    axes: Axes, points: np.ndarray, toy: Toy, theme: Theme, title: str, *, numbered: bool = False
) -> None:
    """Points (num, dim) as a histogram; ``numbered`` adds ticks to the axes."""
    if toy.dim == 1:
        axes.hist(
            points[:, 0],
            bins=BINS_OF_A_LINE,
            range=toy.extent,
            density=True,
            histtype="stepfilled",
            color=cycle(theme.students, 0),
        )
        if toy.mixture is not None:
            x = torch.linspace(*toy.extent, 200)
            axes.plot(x, toy.mixture.log_prob(x[:, None]).exp(), color=theme.text, linewidth=0.8)
    else:
        axes.hist2d(points[:, 0], points[:, 1], bins=BINS_OF_A_SIDE, range=(toy.extent, toy.extent), cmap="magma")
        axes.set_aspect("equal")
    ticks = MaxNLocator(5, steps=[1, 2, 4, 10]).tick_values(*toy.extent) if numbered else []
    axes.set(xticks=ticks, xlim=toy.extent)
    if toy.dim == 1:
        axes.set_yticks([])
    else:
        axes.set(yticks=ticks, ylim=toy.extent)
    set_title(axes, title, theme)
