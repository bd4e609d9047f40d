"""Renders figures as files, without matplotlib's global state."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.html import Picture, Reading
from pipeline.report.theme import DARK, LIGHT, Theme

Values = tuple[tuple[str, str], ...]
"""Names and values, as texts."""


def png(figure: Figure) -> bytes:
    """The figure as PNG at its own resolution; its pixels are not resampled or trimmed."""
    stream = io.BytesIO()
    # Not ``figure.savefig``, which draws a figure with a layout engine twice, once for its layout alone.
    FigureCanvasAgg(figure).print_png(stream)  # type: ignore[no-untyped-call]
    return stream.getvalue()


def draw_both(
    alt: str, draw: Callable[[Theme], Figure], values: Mapping[float, tuple[str, Values]] | None = None
) -> Picture:
    """The figure of ``draw`` for a light and for a dark background.

    Args:
        alt: Text alternative.
        draw: Draws the figure with colours.
        values: What a reader can point at: by x of the figure's first axes a title, and names and values.
    """
    light, dark = draw(LIGHT), draw(DARK)
    light_png = png(light)
    _place_like(light, dark)
    return Picture(alt, light=light_png, dark=png(dark), readings=_readings(light, values or {}))


def _readings(figure: Figure, values: Mapping[float, tuple[str, Values]]) -> tuple[Reading, ...]:
    """Readings of a drawn figure; each reaches half of the way to its neighbours, or to the edge of the axes."""
    if not values:
        return ()
    axes, width = figure.axes[0], figure.bbox.width
    places = sorted(values)
    centres = [float(axes.transData.transform((x, axes.get_ylim()[0]))[0]) / width for x in places]
    ends = [float(end) / width for end in (axes.bbox.x0, axes.bbox.x1)]
    edges = [ends[0], *((a + b) / 2 for a, b in itertools.pairwise(centres)), ends[1]]
    return tuple(
        Reading(left, centre, right, *values[x])
        for x, centre, (left, right) in zip(places, centres, itertools.pairwise(edges), strict=True)
    )


def _place_like(laid_out: Figure, figure: Figure) -> None:
    """Copies the layout of a drawn figure with the same content; computing it again takes a third of drawing."""
    figure.set_layout_engine("none")
    for axes, placed in zip(figure.axes, laid_out.axes, strict=True):
        axes.set_position(placed.get_position(original=True), which="original")
    for text, placed_text in zip(figure.texts, laid_out.texts, strict=True):
        text.set_position(placed_text.get_position())
