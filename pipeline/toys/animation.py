"""The path of a sample as a GIF: points on their way from noise to data."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pipeline.toys.distributions import Toy

FRAME_MILLISECONDS, LAST_MILLISECONDS = 60, 1500


def path_gif(times: np.ndarray, models: Mapping[str, np.ndarray], toy: Toy, *, num_points: int = 300) -> bytes:
    """Moves the points of every model together, a panel each.

    In one dimension a point runs to the right as t grows and leaves its trajectory behind.

    Args:
        times: (T,), common to all models.
        models: Trajectories by name, (num, T, dim).
        toy: Bounds of the panels.
        num_points: Points shown.
    """
    frames = [
        _frame(times, {n: states[:num_points] for n, states in models.items()}, at, toy) for at in range(len(times))
    ]
    stream = io.BytesIO()
    durations = [FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()


def _frame(times: np.ndarray, models: Mapping[str, np.ndarray], at: int, toy: Toy) -> Image.Image:
    figure = Figure(figsize=(2.2 * len(models), 2.4), dpi=90, layout="constrained")
    for column, (name, states) in enumerate(models.items()):
        axes = figure.add_subplot(1, len(models), column + 1)
        if toy.dim == 1:
            axes.plot(times[: at + 1], states[:60, : at + 1, 0].T, color="#0072b2", linewidth=0.5, alpha=0.6)
            axes.scatter(np.full(len(states), times[at]), states[:, at, 0], s=3, color="#d55e00")
            axes.set_xlim(0, 1)
        else:
            axes.scatter(states[:, at, 0], states[:, at, 1], s=3, color="#0072b2")
            axes.set_xlim(*toy.extent)
            axes.set_aspect("equal")
        axes.set_ylim(*toy.extent)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{name} · t = {times[at]:.2f}", fontsize=7)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return Image.open(stream).convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
