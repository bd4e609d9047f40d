"""What all figures share: an empty figure, the style of axes, and logarithmic scales with plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pipeline.report.theme import Theme


def new_figure(width: float, height: float, dpi: int, theme: Theme) -> Figure:
    """An empty figure of ``width`` by ``height`` inches, with matplotlib's constrained layout."""
    return Figure(figsize=(width, height), dpi=dpi, facecolor=theme.background, layout="constrained")


def style(axes: Axes, theme: Theme) -> None:
    """Sets colours, a light grid behind the data, and only the left and bottom spines."""
    axes.set_facecolor(theme.background)
    axes.grid(color=theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", color=theme.grid, labelcolor=theme.text, labelsize=9)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(theme.grid)


def step_axis(axes: Axes, counts: Sequence[int]) -> None:
    """A logarithmic x axis of base 2, with a tick at every step count."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())


def log_axis(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """A logarithmic axis with plain numbers as ticks, powers of ten or finer; stays linear if fewer than two fit."""
    positive = [value for value in values if value > 0]
    if not positive:
        return
    low, high = min(positive), max(positive)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 2, 5), (1, 2, 3, 4, 6, 8)):
        ticks = [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]
        if len(ticks) >= 3:
            break
    if len(ticks) < 2:
        return
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_minor_locator(NullLocator())
