"""Animated GIF of points on their way from noise to data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from PIL import Image, ImageColor

from pipeline.report.axes import new_figure
from pipeline.report.gif import encode_gif
from pipeline.report.points.field_figures import COLOUR_MAP, PATH_COLOUR, colour_limit, draw_field
from pipeline.report.points.figures import Arrays
from pipeline.report.points.panels import label_axes
from pipeline.report.theme import Theme, cycle
from pipeline.toys.distributions import Toy

FRAME_TIMES, FRAME_MILLISECONDS = 2, 80
NUM_SHADES, FIELD_SHADES = 16, 64
SHOWN_POINTS, SHOWN_TRAILS = 800, 60


def path_gif(models: Mapping[str, Arrays], toy: Toy, theme: Theme) -> bytes:
    """Moves the points of all models at the same time, one panel per model.

    In one dimension t is the x axis: points move to the right over the velocity field and leave their trajectories.

    Args:
        models: Arrays by model, see :meth:`pipeline.evaluation.points.PointMeasure.evaluate`. ``times`` (T,) are the
            same for all; every ``FRAME_TIMES``-th and the last become frames. The first ``SHOWN_POINTS`` of
            ``trajectories`` (num, T, dim) are shown, in one dimension the first ``SHOWN_TRAILS``.
        toy: Bounds of the panels.
        theme: Colours.
    """
    times = next(iter(models.values()))["times"]
    limit = colour_limit(models) if toy.dim == 1 else None
    figure = new_figure(2.2 * len(models), 2.4, 90, theme)
    canvas = FigureCanvasAgg(figure)
    moving = []
    for column, (name, arrays) in enumerate(models.items(), start=1):
        axes = figure.add_subplot(1, len(models), column, facecolor=theme.background)
        moving.append(_Panel(axes, name, arrays, toy, theme, limit))
    canvas.draw()  # type: ignore[no-untyped-call]
    still = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    palette = _palette(theme, with_field=limit is not None)
    frames = []
    for at in sorted({*range(0, len(times), FRAME_TIMES), len(times) - 1}):
        canvas.restore_region(still)  # type: ignore[no-untyped-call]
        for panel in moving:
            panel.draw(at)
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        frames.append(Image.fromarray(pixels[..., :3]).quantize(palette=palette, dither=Image.Dither.NONE))
    return encode_gif(frames, FRAME_MILLISECONDS)


def _palette(theme: Theme, *, with_field: bool) -> Image.Image:
    """The palette of every frame: the colours drawn with, and shades between them for smooth edges."""
    background, text, grid, point = (
        np.array(ImageColor.getrgb(name)) for name in (theme.background, theme.text, theme.grid, theme.students[0])
    )
    parts = [grid[None], *(np.linspace(background, end, NUM_SHADES) for end in (text, point))]
    if with_field:
        field = 255 * colormaps[COLOUR_MAP](np.linspace(0, 1, FIELD_SHADES))[:, :3]
        path = np.array(ImageColor.getrgb(PATH_COLOUR))
        parts += [path[None], *(path + share * (field - path) for share in (1, 2 / 3, 1 / 3))]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate(parts).round().astype(np.uint8).tobytes())
    return palette


class _Panel:
    """One model's points, drawn frame by frame over a static background."""

    def __init__(self, axes: Axes, name: str, arrays: Arrays, toy: Toy, theme: Theme, limit: float | None) -> None:
        """``limit`` is the end of the colour scale; None if no field is drawn."""
        if limit is not None:
            draw_field(axes, arrays, limit)
            label_axes([axes], "t", "x", theme)
        axes.set(xlim=toy.extent if limit is None else (0, 1), ylim=toy.extent, xticks=[], yticks=[])
        axes.set_aspect("equal" if limit is None else "auto")
        axes.spines[:].set_color(theme.grid)
        self._axes, self._name, self._times = axes, name, arrays["times"]
        self._states = arrays["trajectories"][: SHOWN_POINTS if limit is None else SHOWN_TRAILS]
        self._title = axes.set_title(name, color=theme.text, fontsize=7, animated=True)
        colour = cycle(theme.students, 0) if limit is None else PATH_COLOUR
        self._points = axes.scatter([], [], s=3, color=colour, animated=True)
        self._trails = LineCollection([], color=PATH_COLOUR, linewidth=0.5, alpha=0.7, animated=True)
        axes.add_collection(self._trails)

    def draw(self, at: int) -> None:
        """Draws the points at ``times[at]``."""
        self._title.set_text(f"{self._name} · t = {self._times[at]:.2f}")
        points = self._states[:, at]
        if points.shape[1] == 1:
            past = self._times[: at + 1]
            points = np.column_stack([np.full(len(points), past[-1]), points])
            trails = self._states[:, : at + 1, 0]
            self._trails.set_segments([np.column_stack([past, trail]) for trail in trails])
        self._points.set_offsets(points)
        for artist in (self._trails, self._points, self._title):
            self._axes.draw_artist(artist)
