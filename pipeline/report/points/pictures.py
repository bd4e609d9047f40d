"""The pictures of a run on points, each drawn for a light and for a dark background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.config.noise import NoiseConfig
from pipeline.metrics.point_row import PointRow
from pipeline.report.drawing import draw_both
from pipeline.report.html import Picture
from pipeline.report.points import field_figures, figures
from pipeline.report.points.animation import path_gif
from pipeline.report.points.figures import Arrays
from pipeline.report.theme import DARK, LIGHT
from pipeline.toys.distributions import Toy


def draw_pictures(
    rows: Sequence[PointRow], arrays: Mapping[str, Arrays], toy: Toy, noise: NoiseConfig, flow: str | None
) -> dict[str, Picture]:
    """Every picture of the page by file name.

    Args:
        rows: Every measured cell.
        arrays: Arrays by model, see :meth:`pipeline.evaluation.points.PointMeasure.evaluate`.
        toy: Distribution that the models should generate.
        noise: Distribution of x_0 of the flows.
        flow: Name of the flow that is compared with the closed form; None if there is none.
    """
    models = ", ".join(arrays)
    drawn = {
        "trajectories": draw_both(
            f"Straight lines of independent pairs, which cross, and trajectories of {models}.",
            lambda theme: figures.trajectories_figure(arrays, toy, noise, theme),
        ),
        "path_density": draw_both(
            f"Density of points between noise and data, for independent pairs and {models}.",
            lambda theme: figures.path_density_figure(arrays, toy, noise, theme),
        ),
        "samples": draw_both(
            f"Density of samples at each step count, a row each for {models}, the data below.",
            lambda theme: figures.histogram_figure(arrays, toy, theme),
        ),
        "distance_by_steps": draw_both(
            f"Sliced Wasserstein distance by number of steps, both logarithmic, for {models}.",
            lambda theme: figures.distance_figure(rows, theme),
        ),
    }
    if toy.dim == 1:
        drawn["velocity_field"] = draw_both(
            f"Velocity over time and place, with trajectories on it, a panel each for {models}.",
            lambda theme: field_figures.field_figure(arrays, toy, theme),
        )
        if toy.mixture is not None and flow is not None:
            drawn["exact_velocity"] = draw_both(
                f"Velocity over time and place: of {flow}, in closed form, and their difference.",
                lambda theme: field_figures.exact_field_figure(flow, arrays[flow], toy, noise, theme),
            )
    # A diffusion teacher covers another range of times, so its points cannot share frames with the others.
    together = {name: item for name, item in arrays.items() if item["times"][0] == 0 and item["times"][-1] == 1}
    if together:
        light, dark = (path_gif(together, toy, theme) for theme in (LIGHT, DARK))
        behind = " over their velocity" if toy.dim == 1 else ""
        alt = f"Points of {', '.join(together)} on their way from noise to data{behind}."
        drawn["paths"] = Picture(alt, light, dark, "gif")
    return drawn
