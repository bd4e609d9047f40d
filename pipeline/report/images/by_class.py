"""The classes of class-conditional models: a grid with a row for each class, and distances by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.data.mosaic import mosaic
from pipeline.metrics.class_measures import CLASS_GRID, ClassRecord
from pipeline.report.drawing import draw_both
from pipeline.report.html import Picture, picture, table
from pipeline.report.images.figures import GRID_DPI
from pipeline.report.images.results import ModelResult, Results
from pipeline.report.reading import load_samples_of, unreadable
from pipeline.report.step_table import steps_in_words
from pipeline.report.theme import LIGHT, Theme


@dataclass(frozen=True)
class ClassGrid:
    """Images of one model by class.

    Attributes:
        model: Name of the model.
        record: How they were drawn, and of which classes.
        names: Of the classes shown, in the order of rows.
        images: uint8, (classes, columns, channels, height, width); a column is of one noise.
    """

    model: str
    record: ClassRecord
    names: tuple[str, ...]
    images: np.ndarray


def load_class_grid(root: Path, results: Results, model: str) -> ClassGrid | None:
    """The grid of ``model``; None if it was not measured, or is unconditional.

    Raises:
        StraightflowError: If its file is missing, or holds something else than a row for each class of the record.
    """
    record = next((item.classes for item in results.models if item.model == model), None)
    if record is None:
        return None
    path = root / f"samples/{model}.safetensors"
    images = load_samples_of(path, model).get(CLASS_GRID)
    shape = results.data.sample_shape
    if images is None or images.dtype != np.uint8 or images.ndim != 5 or len(images) != len(record.shown):
        found = "none" if images is None else f"{images.dtype} of shape {images.shape}"
        raise unreadable(path, ValueError(f"{CLASS_GRID}: {found}, of {len(record.shown)} classes of images"))
    if images.shape[2:] != shape or 0 in images.shape:
        raise unreadable(
            path, ValueError(f"{CLASS_GRID}: images of shape {images.shape[2:]}, where the data have {shape}")
        )
    return ClassGrid(model, record, tuple(class_name(results, label) for label in record.shown), images)


def class_name(results: Results, label: int) -> str:
    """A class as the data name it, with its number; the number alone where they do not."""
    names = results.data.class_names
    return str(label) if names is None or label >= len(names) else f"{label} {names[label]}"


def draw_class_grid(grid: ClassGrid) -> Picture:
    """The grid as a picture."""
    return draw_both(
        f"Samples of {grid.model} by class: a row for each of {', '.join(grid.names)}, a column for each noise.",
        lambda theme: class_grid_figure(grid, theme),
    )


def class_grid_figure(grid: ClassGrid, theme: Theme = LIGHT, *, columns: int = 12) -> Figure:
    """A row for each class, labelled; a column for each noise. Pixels are not blurred.

    Args:
        grid: Of one model.
        theme: Colours.
        columns: Most columns shown.
    """
    images = grid.images[:, :columns]
    scale, gap, top = max(1, round(48 / images.shape[3])), 2, 44
    left = 24 + 7 * max(len(name) for name in grid.names)  # a letter is about 7 pixels wide
    flat = images.reshape(-1, *images.shape[2:])
    block = mosaic(flat, images.shape[1], scale=scale, gap=gap, gap_value=int(theme.background[1:3], 16))
    title = f"{grid.model}, {grid.record.solver}, {steps_in_words(grid.record.num_steps)}: a class a row"
    width, height = max(left + block.shape[1] + 12, 24 + 8 * len(title)), top + len(block) + 12
    figure = Figure(figsize=(width / GRID_DPI, height / GRID_DPI), dpi=GRID_DPI, facecolor=theme.background)
    figure.text(12 / width, 1 - 24 / height, title, color=theme.text, fontsize=11, fontweight="bold")
    # Extents in whole pixels keep the mosaic exact: one array entry, one pixel.
    axes = figure.add_axes((left / width, 12 / height, block.shape[1] / width, len(block) / height))
    axes.imshow(block, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    pitch = (len(block) + gap) / len(grid.names)
    for at, name in enumerate(grid.names):
        y = 1 - (top + (at + 0.5) * pitch) / height
        figure.text((left - 8) / width, y, name, color=theme.text, fontsize=9, ha="right", va="center")
    return figure


def classes_section(results: Results, grid: Picture | None) -> str:
    """The page's part on classes; empty where no model has any."""
    measured = [item for item in results.models if item.classes is not None]
    if not measured:
        return ""
    shown = (
        ""
        if grid is None
        else (f'<div class="scroll wide" role="region" aria-label="Grid of classes" tabindex="0">{picture(grid)}</div>')
    )
    return f"<h2>Classes</h2>\n{shown}\n{_fids(results, measured)}"


def _fids(results: Results, measured: Sequence[ModelResult]) -> str:
    """A table of distances by class: a row for each class, a column for each model; empty if none were asked for."""
    records = {item.model: item.classes for item in measured if item.classes is not None and item.classes.fids}
    by_label = {model: {item.label: item for item in record.fids} for model, record in records.items()}
    labels = sorted({label for found in by_label.values() for label in found})
    if not labels:
        return ""
    head = ("class", *(f"{model}, {steps_in_words(record.num_steps)}" for model, record in records.items()))
    lines = []
    for label in labels:
        cells = []
        for found in by_label.values():
            item = found.get(label)
            cells.append(None if item is None else f"{item.fid:.3f} ({item.num_samples:,}; {item.num_reference:,})")
        lines.append((class_name(results, label), *cells))
    caption = (
        "FID of each class to the reference's images of this class (generated; real images). It falls with these "
        "numbers, so that it compares down a column only where they are equal, and never with the FIDs above."
    )
    return table(caption, head, lines)
