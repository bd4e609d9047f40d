"""From figures to files, without any global state."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.figure import Figure

from pipeline.report.html import Picture
from pipeline.report.theme import DARK, LIGHT, Theme


def png(figure: Figure) -> bytes:
    """The figure as PNG at its own resolution; its pixels are not resampled or trimmed."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=figure.get_facecolor())
    return stream.getvalue()


def draw_both(alt: str, draw: Callable[[Theme], Figure]) -> Picture:
    """What ``draw`` draws, for light and for dark ground; ``alt`` is said to those who do not see it."""
    return Picture(alt, light=png(draw(LIGHT)), dark=png(draw(DARK)))
