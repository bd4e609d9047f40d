"""Quality against time: FID and seconds of sampling for each model and step count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

from pipeline.metrics.image_row import ImageRow, differences
from pipeline.report.axes import log_axis, new_figure, style
from pipeline.report.images.comparisons import Comparison, at_least_samples, by_first_features
from pipeline.report.images.figures import DPI, WIDTH_INCHES
from pipeline.report.images.series import series_of
from pipeline.report.theme import LIGHT, Theme


def quality_by_seconds_figure(rows: Sequence[ImageRow], theme: Theme = LIGHT) -> Figure:
    """FID against seconds of sampling per 1,000 images, both log: a line for each model and solver, steps as labels.

    Cells are ringed unless another of no more network calls, which no clock blurs, is better by more than chance.

    Args:
        rows: Every measured cell; those of the first features, of fewest samples and with a time are drawn.
        theme: Colours.
    """
    drawn = at_least_samples(by_first_features(rows))
    timed = [(row, row.seconds_per_1000) for row in drawn if row.seconds_per_1000 is not None and row.fid > 0]
    figure = new_figure(WIDTH_INCHES, 4.6, DPI, theme)
    axes = figure.add_subplot()
    style(axes, theme)
    for series in series_of([row for row, _ in timed], theme):
        cells = sorted((row.seconds_per_1000 or 0.0, row.fid, row.num_steps or "adaptive") for row in series.rows)
        seconds_of, fids, _ = zip(*cells, strict=True)
        colour, marker, label = series.colour, series.marker, series.label
        axes.plot(seconds_of, fids, color=colour, marker=marker, markersize=4.5, linewidth=1.2, label=label)
        for seconds, fid, count in cells:
            axes.annotate(
                str(count), (seconds, fid), (0, 5), textcoords="offset points", ha="center", color=colour, fontsize=7.5
            )
    best = [(seconds, row.fid) for row, seconds in timed if not _is_dominated(row, drawn)]
    if best:
        seconds_of, fids = zip(*sorted(best), strict=True)
        label = "none better with as few calls"
        axes.scatter(seconds_of, fids, s=110, facecolors="none", edgecolors=theme.text, zorder=3, label=label)
    log_axis(axes, "y", [row.fid for row, _ in timed])
    log_axis(axes, "x", [seconds for _, seconds in timed])
    axes.set_xlabel("seconds per 1,000 images", color=theme.text)
    axes.set_ylabel("FID (lower is better)", color=theme.text)
    figure.suptitle("Quality for time", color=theme.text, fontsize=12, fontweight="bold")
    axes.set_title("numbers at the points are steps", color=theme.text, fontsize=8.5)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.text, fontsize=9)
    return figure


def _is_dominated(row: ImageRow, others: Iterable[ImageRow]) -> bool:
    """Whether another cell takes no more network calls and is significantly better."""
    return any(
        Comparison("", "", other, row).is_significant
        for other in others
        if other.nfe is not None and row.nfe is not None and other.nfe <= row.nfe and other.fid < row.fid
        if not differences(other, row)
    )
