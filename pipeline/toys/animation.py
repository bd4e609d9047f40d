"""The path of a sample as a GIF: points on their way from noise to data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from pipeline.report.gif import encode_gif
from pipeline.report.theme import Theme, cycle
from pipeline.toys.distributions import Toy

FRAME_TIMES, FRAME_MILLISECONDS, NUM_SHADES = 2, 80, 16
SHOWN_POINTS, SHOWN_TRAILS = 300, 60


def path_gif(times: np.ndarray, models: Mapping[str, np.ndarray], toy: Toy, theme: Theme) -> bytes:
    """Moves the points of every model together, a panel each.

    In one dimension a point runs to the right as t grows and leaves its trajectory behind.

    Args:
        times: (T,), common to all models; every ``FRAME_TIMES``-th and the last become frames.
        models: Trajectories by name, (num, T, dim); the first ``SHOWN_POINTS`` are shown.
        toy: Bounds of the panels.
        theme: Colours.
    """
    figure = Figure(figsize=(2.2 * len(models), 2.4), dpi=90, facecolor=theme.ground, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = []
    for column, (name, states) in enumerate(models.items(), start=1):
        axes = figure.add_subplot(1, len(models), column, facecolor=theme.ground)
        panels.append(_Panel(axes, name, times, states[:SHOWN_POINTS], toy, theme))
    canvas.draw()  # type: ignore[no-untyped-call]
    still = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    palette = _palette(theme)
    frames = []
    for at in sorted({*range(0, len(times), FRAME_TIMES), len(times) - 1}):
        canvas.restore_region(still)  # type: ignore[no-untyped-call]
        for panel in panels:
            panel.draw(at)
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        frames.append(Image.fromarray(pixels[..., :3]).quantize(palette=palette, dither=Image.Dither.NONE))
    return encode_gif(frames, FRAME_MILLISECONDS)


def _palette(theme: Theme) -> Image.Image:
    """The colours that a frame is made of and shades between them, for smooth edges; the same for every frame."""
    ground, text, grid, trail, point = (
        np.array(ImageColor.getrgb(name)) for name in (theme.ground, theme.text, theme.grid, *theme.students[:2])
    )
    pairs = ((ground, text), (ground, trail), (ground, point), (trail, point))
    shades = np.concatenate([grid[None], *(np.linspace(start, end, NUM_SHADES).round() for start, end in pairs)])
    palette = Image.new("P", (1, 1))
    palette.putpalette(shades.astype(np.uint8).tobytes())
    return palette


class _Panel:
    """One model's points, drawn frame by frame over what stays the same."""

    def __init__(self, axes: Axes, name: str, times: np.ndarray, states: np.ndarray, toy: Toy, theme: Theme) -> None:
        axes.set(xlim=(0, 1) if toy.dim == 1 else toy.extent, ylim=toy.extent, xticks=[], yticks=[])
        axes.set_aspect("auto" if toy.dim == 1 else "equal")
        axes.spines[:].set_color(theme.grid)
        self._axes, self._name, self._times, self._states = axes, name, times, states
        self._title = axes.set_title(name, color=theme.text, fontsize=7, animated=True)
        self._points = axes.scatter([], [], s=3, color=cycle(theme.students, 1 if toy.dim == 1 else 0), animated=True)
        self._trails = LineCollection([], color=cycle(theme.students, 0), linewidth=0.5, alpha=0.6, animated=True)
        axes.add_collection(self._trails)

    def draw(self, at: int) -> None:
        """Draws the points at ``times[at]``."""
        self._title.set_text(f"{self._name} · t = {self._times[at]:.2f}")
        points = self._states[:, at]
        if points.shape[1] == 1:
            past = self._times[: at + 1]
            points = np.column_stack([np.full(len(points), past[-1]), points])
            trails = self._states[:SHOWN_TRAILS, : at + 1, 0]
            self._trails.set_segments([np.column_stack([past, trail]) for trail in trails])
        self._points.set_offsets(points)
        for artist in (self._trails, self._points, self._title):
            self._axes.draw_artist(artist)
