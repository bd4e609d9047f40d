"""The path of a sample as a GIF: points on their way from noise to data."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from pipeline.report.theme import Theme, cycle
from pipeline.toys.distributions import Toy

FRAME_TIMES, FRAME_MILLISECONDS, LAST_MILLISECONDS = 2, 80, 1500
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
    frames = []
    for at in sorted({*range(0, len(times), FRAME_TIMES), len(times) - 1}):
        for panel in panels:
            panel.show(at)
        canvas.draw()  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # the first frame's layout holds for all, and is most of its work
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        frames.append(Image.fromarray(pixels[..., :3]).quantize(32))
    stream = io.BytesIO()
    durations = [FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()


class _Panel:
    """One model's points, moved from frame to frame."""

    def __init__(self, axes: Axes, name: str, times: np.ndarray, states: np.ndarray, toy: Toy, theme: Theme) -> None:
        axes.set(xlim=(0, 1) if toy.dim == 1 else toy.extent, ylim=toy.extent, xticks=[], yticks=[])
        axes.set_aspect("auto" if toy.dim == 1 else "equal")
        axes.spines[:].set_color(theme.grid)
        self._name, self._times, self._states = name, times, states
        self._title = axes.set_title(" ", color=theme.text, fontsize=7)
        self._points = axes.scatter([], [], s=3, color=cycle(theme.students, 1 if toy.dim == 1 else 0), zorder=3)
        self._trails = LineCollection([], color=cycle(theme.students, 0), linewidth=0.5, alpha=0.6)
        axes.add_collection(self._trails)

    def show(self, at: int) -> None:
        """Moves the points to ``times[at]``."""
        self._title.set_text(f"{self._name} · t = {self._times[at]:.2f}")
        points = self._states[:, at]
        if points.shape[1] > 1:
            self._points.set_offsets(points)
            return
        past = self._times[: at + 1]
        self._points.set_offsets(np.column_stack([np.full(len(points), past[-1]), points]))
        trails = self._states[:SHOWN_TRAILS, : at + 1, 0]
        self._trails.set_segments([np.column_stack([past, trail]) for trail in trails])
