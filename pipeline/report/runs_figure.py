"""FID by steps of one model in several runs, a line for each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from pipeline.metrics.image_row import ImageRow
from pipeline.report.axes import log_axis, new_figure, step_axis, style
from pipeline.report.drawing import Values
from pipeline.report.images.figures import DPI, WIDTH_INCHES, reach
from pipeline.report.images.series import MARKERS
from pipeline.report.images.summary import fid_in_words
from pipeline.report.step_table import steps_in_words
from pipeline.report.theme import LIGHT, Theme, cycle


def runs_figure(title: str, runs: Mapping[str, Sequence[ImageRow]], theme: Theme = LIGHT) -> Figure:
    """FID (log) against steps (log2): a line for each run.

    Args:
        title: Names the model and its solver.
        runs: Its cells of fixed step counts by the name of a run; all compare with each other.
        theme: Colours.
    """
    rows = [row for cells in runs.values() for row in cells]
    figure = new_figure(WIDTH_INCHES, 3.8, DPI, theme)
    axes = figure.add_subplot()
    style(axes, theme)
    for at, (name, cells) in enumerate(runs.items()):
        points = sorted((row.num_steps or 0, row.fid, *reach(row)) for row in cells)
        if points:
            steps, fids, below, above = zip(*points, strict=True)
            axes.errorbar(
                steps, fids, yerr=(below, above), capsize=2.5, color=cycle(theme.students, at),
                marker=cycle(MARKERS, at), markersize=5, label=name,
            )  # fmt: skip
    step_axis(axes, sorted({row.num_steps for row in rows if row.num_steps is not None}))
    log_axis(axes, "y", [row.fid for row in rows])
    axes.set_xlabel("steps", color=theme.text)
    axes.set_ylabel("FID (lower is better)", color=theme.text)
    figure.suptitle(title, color=theme.text, fontsize=12, fontweight="bold")
    figure.legend(loc="outside lower center", ncols=1, frameon=False, labelcolor=theme.text, fontsize=9)
    return figure


def fids_of_runs(runs: Mapping[str, Sequence[ImageRow]]) -> dict[float, tuple[str, Values]]:
    """The values that :func:`runs_figure` shows at each step count, as texts."""
    counts = sorted({row.num_steps for cells in runs.values() for row in cells if row.num_steps is not None})
    return {
        count: (
            steps_in_words(count),
            tuple((name, fid_in_words(row)) for name, cells in runs.items() for row in cells if row.num_steps == count),
        )
        for count in counts
    }
