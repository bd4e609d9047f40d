"""Figures of a run on images.

Every function returns a new ``matplotlib.figure.Figure``. Widths and font sizes are chosen so that letters stay
about 9 pixels high when a figure is scaled to a phone's 360 pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline.data.mosaic import mosaic
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.report.axes import log_axis, new_figure, step_axis, style
from pipeline.report.drawing import Values
from pipeline.report.images.comparisons import at_least_samples, by_first_features
from pipeline.report.images.results import LossPoint, ModelResult
from pipeline.report.images.samples import SampleCell
from pipeline.report.images.series import series_of
from pipeline.report.images.summary import describe_measure, fid_in_words
from pipeline.report.step_table import steps_in_words
from pipeline.report.theme import LIGHT, Theme

WIDTH_INCHES = 5.2
DPI = 200
GRID_DPI = 100
TITLE_CHARACTERS = 64


def fid_by_steps_figure(rows: Sequence[ImageRow], theme: Theme = LIGHT) -> Figure:
    """FID (log) against steps (log2): a line for each model and solver, couplings as dashed horizontals.

    Args:
        rows: Every measured cell, of which those of the first features and fewest samples are drawn.
            Couplings take the colour of a model of the same name.
        theme: Colours.
    """
    rows = at_least_samples(by_first_features(rows))
    models = [row for row in rows if not row.is_couplings and row.num_steps is not None]
    colours = theme.colours(row.model for row in models)
    figure = new_figure(WIDTH_INCHES, 4.6, DPI, theme)
    axes = figure.add_subplot()
    style(axes, theme)
    for series in series_of(models, theme):
        cells = sorted((row.num_steps or 0, row.fid, *reach(row)) for row in series.rows)
        steps, fids, below, above = zip(*cells, strict=True)
        colour, marker = series.colour, series.marker
        axes.errorbar(
            steps, fids, yerr=(below, above), capsize=2.5, color=colour, marker=marker, markersize=5, label=series.label
        )
    for row in rows:
        if row.is_couplings:
            name = row.model.removeprefix(COUPLINGS_PREFIX)
            axes.axhline(
                row.fid, color=colours.get(name, theme.text), linestyle=(0, (4, 3)), linewidth=1.2, label=row.model
            )
    step_axis(axes, sorted({row.num_steps for row in models if row.num_steps is not None}))
    log_axis(axes, "y", [row.fid for row in rows])
    axes.set_xlabel("steps", color=theme.text)
    axes.set_ylabel("FID (lower is better)", color=theme.text)
    figure.suptitle("FID by number of steps", color=theme.text, fontsize=12, fontweight="bold")
    measure = describe_measure(rows)
    if len(measure) > TITLE_CHARACTERS:
        measure = measure.replace(" · against", "\nagainst")
    axes.set_title(measure, color=theme.text, fontsize=8.5)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.text, fontsize=9)
    return figure


def fids_by_steps(rows: Sequence[ImageRow]) -> dict[float, tuple[str, Values]]:
    """The values of :func:`fid_by_steps_figure` at each step count, with those of couplings; lowest FID first."""
    rows = sorted(at_least_samples(by_first_features(rows)), key=lambda row: row.fid)
    counts = sorted({row.num_steps for row in rows if row.num_steps is not None and not row.is_couplings})
    return {
        count: (
            steps_in_words(count),
            tuple(
                (row.model if row.is_couplings else f"{row.model} · {row.solver}", fid_in_words(row))
                for row in rows
                if row.is_couplings or row.num_steps == count
            ),
        )
        for count in counts
    }


def reach(row: ImageRow) -> tuple[float, float]:
    """How far the interval reaches below and above the FID; 0 where it is unknown."""
    interval = row.fid_estimate
    return (0.0, 0.0) if interval is None else (row.fid - interval.low, interval.high - row.fid)


def straightness_figure(models: Sequence[ModelResult], theme: Theme = LIGHT) -> Figure:
    """Normalised straightness of each model as a bar; 0 is straight."""
    figure = new_figure(WIDTH_INCHES, 1.3 + 0.38 * len(models), DPI, theme)
    axes = figure.add_subplot()
    style(axes, theme)
    colours = theme.colours(model.model for model in models)
    values = [model.trajectories.straightness_normalised for model in models]
    bars = axes.barh(
        [model.model for model in models], values, height=0.62, color=[colours[model.model] for model in models]
    )
    axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, color=theme.text, fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.16)
    axes.set_xlim(left=0)
    axes.set_xlabel("normalised straightness S (0 = straight)", color=theme.text)
    figure.suptitle("Straightness of trajectories", color=theme.text, fontsize=12, fontweight="bold")
    return figure


def loss_figure(losses: Mapping[str, Sequence[LossPoint]], theme: Theme = LIGHT) -> Figure:
    """Training losses (log) by step, one panel each as objectives differ; raw values pale, running mean strong."""
    num_rows = max(1, -(-len(losses) // 2))
    figure = new_figure(WIDTH_INCHES, 0.6 + 1.7 * num_rows, DPI, theme)
    figure.suptitle("Training loss by step", color=theme.text, fontsize=12, fontweight="bold")
    colours = theme.colours(losses)
    for at, (name, points) in enumerate(losses.items()):
        axes = figure.add_subplot(num_rows, 2, at + 1)
        style(axes, theme)
        steps = np.array([point.step for point in points])
        values = np.array([point.loss for point in points])
        axes.plot(steps, values, color=colours[name], alpha=0.35, linewidth=1)
        window = max(1, len(values) // 20)
        smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
        axes.plot(steps[window - 1 :], smooth, color=colours[name], linewidth=1.6)
        log_axis(axes, "y", values)
        axes.tick_params(which="both", labelsize=8, labelcolor=theme.text)
        axes.set_title(name, color=theme.text, fontsize=10)
    return figure


def sample_grid_figure(cells: Sequence[SampleCell], theme: Theme = LIGHT, *, columns: int = 12) -> Figure:
    """Samples: a row for each model, solver and step count; a column for each noise sample. Pixels are not blurred.

    Args:
        cells: From :func:`pipeline.report.images.samples.load_samples`; a new model or solver starts a new group.
        theme: Colours.
        columns: Most columns shown.
    """
    columns = min(columns, len(cells[0].images))
    scale = max(1, round(48 / cells[0].images.shape[2]))
    top, gap, space = 44, 2, 26
    longest = max(len(name) for cell in cells for name in (cell.model, cell.solver))
    left = 80 + 7 * max(10, longest)  # a letter is about 7 pixels wide; the rest is for the number of steps
    groups = [list(group) for _, group in itertools.groupby(cells, key=lambda cell: (cell.model, cell.solver))]
    blocks = [
        mosaic(
            np.concatenate([cell.images[:columns] for cell in group]),
            columns,
            scale=scale,
            gap=gap,
            gap_value=int(theme.background[1:3], 16),
        )
        for group in groups
    ]
    width = left + blocks[0].shape[1] + 12
    height = top + sum(len(block) + space for block in blocks)
    figure = Figure(figsize=(width / GRID_DPI, height / GRID_DPI), dpi=GRID_DPI, facecolor=theme.background)
    figure.text(
        12 / width, 1 - 24 / height, "One noise down every column", color=theme.text, fontsize=11, fontweight="bold"
    )
    for group, block in zip(groups, blocks, strict=True):
        # Extents in whole pixels keep the mosaic exact: one array entry, one pixel.
        bottom = height - top - len(block)
        extent = (left / width, bottom / height, block.shape[1] / width, len(block) / height)
        axes = figure.add_axes(extent)
        axes.imshow(block, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        pitch = (len(block) + gap) / len(group)
        for at, cell in enumerate(group):
            y = 1 - (top + (at + 0.5) * pitch) / height
            steps = steps_in_words(cell.num_steps)
            figure.text((left - 8) / width, y, steps, color=theme.text, fontsize=9, ha="right", va="center")
        name = f"{group[0].model}\n{group[0].solver}"
        y = 1 - (top + pitch / 2) / height
        figure.text(12 / width, y, name, color=theme.text, fontsize=9, fontweight="bold", va="center")
        top += len(block) + space
    return figure
