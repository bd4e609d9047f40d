"""The figure of :mod:`benchmarks.league`: FID against steps for every method, a panel for each kind of features."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.league_page import Entry
from pipeline.report.axes import log_axis, new_figure, step_axis, style
from pipeline.report.images.comparisons import STUDENT_STEPS
from pipeline.report.theme import LIGHT, Theme, cycle

_STYLES = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
"""Marker and line of each pass through the colours."""


def league_figure(entries: Sequence[Entry], theme: Theme = LIGHT) -> Figure:
    """Mean FID (log) against steps (log2); a band from the smallest to the largest over training seeds.

    What does not compete is neutral: the teacher, and couplings, which have no steps and are level lines.
    """
    features = sorted({(cell.is_judge, key[0]) for entry in entries for key, cell in entry.cells.items()})
    figure = new_figure(9.6, 5.2, 150, theme)
    students = [entry for entry in entries if entry.is_student]
    for at, (is_judge, name) in enumerate(features):
        axes = figure.add_subplot(1, len(features), at + 1)
        style(axes, theme)
        for entry in entries:
            points = [(steps, entry.cells[name, steps]) for steps in STUDENT_STEPS if (name, steps) in entry.cells]
            steps = [count for count, _ in points]
            if entry.is_student:
                number = students.index(entry)
                colour = cycle(theme.students, number)
                marker, line = _STYLES[number // len(theme.students) % len(_STYLES)]
            else:
                colour, marker, line = cycle(theme.teacher, entries.index(entry)), "", "-"
            axes.plot(
                steps, [cell.mean for _, cell in points],
                color=colour, marker=marker, linestyle=line, markersize=5, linewidth=1.4, label=entry.name,
            )  # fmt: skip
            axes.fill_between(
                steps, [min(cell.fids) for _, cell in points], [max(cell.fids) for _, cell in points],
                color=colour, alpha=0.15, linewidth=0,
            )  # fmt: skip
        step_axis(axes, STUDENT_STEPS)
        log_axis(
            axes,
            "y",
            [fid for entry in entries for key, cell in entry.cells.items() if key[0] == name for fid in cell.fids],
        )
        axes.set_xlabel("steps", color=theme.text)
        axes.set_ylabel("FID (lower is better)", color=theme.text)
        axes.set_title(f"{name}, the judge" if is_judge else name, color=theme.text, fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=5, frameon=False, labelcolor=theme.text, fontsize=8.5
    )
    return figure


def _fids(entries: Sequence[Entry], features: str) -> list[float]:
    return [fid for entry in entries for key, cell in entry.cells.items() if key[0] == features for fid in cell.fids]
