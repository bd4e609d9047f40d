"""Renders figures as files, without matplotlib's global state."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.html import Picture
from pipeline.report.theme import DARK, LIGHT, Theme


def png(figure: Figure) -> bytes:
    """The figure as PNG at its own resolution; its pixels are not resampled or trimmed."""
    stream = io.BytesIO()
    # Not ``figure.savefig``, which draws a figure with a layout engine twice, once for its layout alone.
    FigureCanvasAgg(figure).print_png(stream)  # type: ignore[no-untyped-call]
    return stream.getvalue()


def draw_both(alt: str, draw: Callable[[Theme], Figure]) -> Picture:
    """The figure of ``draw`` for a light and for a dark background, with ``alt`` as its text alternative."""
    light, dark = draw(LIGHT), draw(DARK)
    light_png = png(light)
    _place_like(light, dark)
    return Picture(alt, light=light_png, dark=png(dark))


def _place_like(laid_out: Figure, figure: Figure) -> None:
    """Copies the layout of a drawn figure with the same content; computing it again takes a third of drawing."""
    figure.set_layout_engine("none")
    for axes, placed in zip(figure.axes, laid_out.axes, strict=True):
        axes.set_position(placed.get_position(original=True), which="original")
    for text, placed_text in zip(figure.texts, laid_out.texts, strict=True):
        text.set_position(placed_text.get_position())
