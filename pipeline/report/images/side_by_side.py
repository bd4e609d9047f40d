"""The teacher at its best beside the student at few steps, all from the same noises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.figure import Figure

from pipeline.config.graph import Headline
from pipeline.data.mosaic import mosaic
from pipeline.metrics.image_row import ImageRow, differences
from pipeline.report.html import samples_image
from pipeline.report.images.answer import find_answer
from pipeline.report.images.comparisons import at_most_samples, best_teacher, by_untaught_features
from pipeline.report.images.figures import GRID_DPI
from pipeline.report.images.samples import SampleCell
from pipeline.report.images.summary import format_fid, format_two_digits
from pipeline.report.step_table import steps_in_words
from pipeline.report.theme import LIGHT, Theme

SHOWN_STEPS = (1, 2, 4)
MOST_ROWS, MOST_PIXELS = 4, 512
"""Rows of images in a panel, and pixels along its side if that leaves two rows."""
GAP_GREY = 128  # tells images apart on a light and on a dark background


@dataclass(frozen=True)
class Panel:
    """Images of one cell.

    Attributes:
        name: Model and steps in words.
        images: uint8, (num, channels, height, width); index i comes from the same noise in every panel.
        row: Its measured cell; None if there is none that compares with those of the other panels.
        decoding: Seconds in which 1,000 latents are decoded; 0 where the network makes images.
    """

    name: str
    images: np.ndarray
    row: ImageRow | None
    decoding: float = 0.0

    @property
    def note(self) -> str:
        """FID and time in words, as far as they are known."""
        if self.row is None:
            return ""
        seconds = self.row.seconds_per_1000
        return f"FID {format_fid(self.row.fid)}" + (
            "" if seconds is None else f" · {format_two_digits(seconds + self.decoding)} s per 1,000"
        )


def choose_panels(
    rows: Sequence[ImageRow], cells: Sequence[SampleCell], headline: Headline, decoding: float = 0.0
) -> tuple[Panel, ...]:
    """The teacher's cell of lowest FID and the student at 1, 2 and 4 steps, as far as they were measured.

    Args:
        rows: Every measured cell.
        cells: From :func:`pipeline.report.images.samples.load_samples`.
        headline: The student in question.
        decoding: Seconds in which 1,000 latents are decoded; 0 where the networks make images.
    """
    chosen, answer = by_untaught_features(rows, headline), find_answer(rows, headline)
    best = best_teacher(chosen)
    wanted = [] if best is None else [best.cell]
    wanted += [(headline.student, "euler", steps) for steps in SHOWN_STEPS]
    # FIDs of other numbers of samples do not compare; those of the answer above the panels go before.
    measured = [row for row in at_most_samples(chosen) if row.cell in wanted] if answer is None else [answer.student]
    alike = [row for row in chosen if measured and not differences(row, measured[0])]
    fids, images = {row.cell: row for row in alike}, {(item.model, item.solver, item.num_steps): item for item in cells}
    return tuple(
        Panel(f"{cell[0]}, {steps_in_words(cell[2])}", _square(images[cell].images), fids.get(cell), decoding)
        for cell in wanted
        if cell in images
    )


def side_by_side(panels: Sequence[Panel]) -> str:
    """HTML of the panels, each with a caption; empty without any."""
    if not panels:
        return ""
    figures = []
    for panel in panels:
        image = samples_image(_panel_pixels(panel, 1, 1, GAP_GREY), _alt(panel), "panel")
        caption = f"<b>{escape(panel.name)}</b> {escape(panel.note)}"
        figures.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="side-by-side">{"".join(figures)}</div>'


def side_by_side_figure(panels: Sequence[Panel], theme: Theme = LIGHT) -> Figure:
    """The panels in a row, each under its name and FID; pixels are not blurred.

    Args:
        panels: From :func:`choose_panels`, at least one.
        theme: Colours.
    """
    side = panels[0].images.shape[2]
    scale, top, margin = max(1, round(64 / side)), 48, 12
    grey = int(theme.background[1:3], 16)
    blocks = [_panel_pixels(panel, scale, 2, grey) for panel in panels]
    pitch = max(blocks[0].shape[1], 250) + margin  # a name and its FID are about 250 pixels wide
    width, height = margin + pitch * len(panels), top + len(blocks[0]) + margin
    figure = Figure(figsize=(width / GRID_DPI, height / GRID_DPI), dpi=GRID_DPI, facecolor=theme.background)
    for at, (panel, block) in enumerate(zip(panels, blocks, strict=True)):
        left = margin + at * pitch
        # Extents in whole pixels keep the mosaic exact: one array entry, one pixel.
        extent = (left / width, margin / height, block.shape[1] / width, len(block) / height)
        axes = figure.add_axes(extent)
        axes.imshow(block, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        x, name, note = left / width, 1 - 18 / height, 1 - 37 / height
        figure.text(x, name, panel.name, color=theme.text, fontsize=10, fontweight="bold", va="center")
        figure.text(x, note, panel.note, color=theme.text, fontsize=9, va="center")
    return figure


def describe_panels(panels: Sequence[Panel]) -> str:
    """Text alternative of the figure."""
    return "Images from the same noises, side by side: " + "; ".join(map(_words, panels)) + "."


def _words(panel: Panel) -> str:
    return f"{panel.name}, {panel.note}" if panel.note else panel.name


def _alt(panel: Panel) -> str:
    return f"{len(panel.images)} images of {panel.name}, from the same noises as those beside them"


def _square(images: np.ndarray) -> np.ndarray:
    """As many of the first images as fill a square of few rows."""
    rows = min(MOST_ROWS, math.isqrt(len(images)), max(2, MOST_PIXELS // images.shape[2]))
    return images[: rows * rows]


def _panel_pixels(panel: Panel, scale: int, gap: int, grey: int) -> np.ndarray:
    return mosaic(panel.images, math.isqrt(len(panel.images)), scale=scale, gap=gap, gap_value=grey)
