"""What the figures of points share: grids of panels, their titles and axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.axes import new_figure
from pipeline.report.theme import Theme

DPI = 110
TIME_TICKS = (0, 0.5, 1)


def panels(
    rows: int,
    columns: int,
    theme: Theme,
    *,
    side: float = 2.0,
    width: float | None = None,
    below: float = 0.0,
    shared: bool = False,
) -> tuple[Figure, list[list[Axes]]]:
    """A grid of panels, ``side`` inches each, ``width`` inches in all, with ``below`` inches for a legend.

    ``shared`` gives all panels the same axes, with ticks only at the left and at the bottom.
    """
    figure = new_figure(width or side * columns + 0.4, side * rows + 0.4 + below, DPI, theme)
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).tolist()
    for axes in itertools.chain.from_iterable(grid):
        axes.set_facecolor(theme.background)
        axes.spines[:].set_color(theme.grid)
        axes.tick_params(color=theme.grid, labelcolor=theme.text, labelsize=6)
    return figure, grid


def set_title(axes: Axes, text: str, theme: Theme) -> None:
    """A panel's title."""
    axes.set_title(text, color=theme.text, fontsize=7)


def time_axis(axes: Axes) -> None:
    """Times from 0 to 1 on the x axis."""
    axes.set(xlim=(0, 1), xticks=TIME_TICKS)


def label_axes(row: Sequence[Axes], x: str, y: str, theme: Theme) -> None:
    """Names the x axis of every panel in a row that shares its axes, and the y axis of the first."""
    for axes in row:
        axes.set_xlabel(x, color=theme.text, fontsize=7)
    row[0].set_ylabel(y, color=theme.text, fontsize=7)
