"""The pictures of a run on images, each drawn for a light and for a dark background."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.graph import Headline
from pipeline.report.drawing import draw_both
from pipeline.report.html import Picture
from pipeline.report.images.figures import (
    fid_by_steps_figure,
    fids_by_steps,
    loss_figure,
    sample_grid_figure,
    straightness_figure,
)
from pipeline.report.images.pareto import quality_by_seconds_figure
from pipeline.report.images.results import Results
from pipeline.report.images.samples import SampleCell
from pipeline.report.images.side_by_side import choose_panels, describe_panels, side_by_side_figure


def draw_pictures(results: Results, cells: Sequence[SampleCell], headline: Headline) -> dict[str, Picture]:
    """Every figure of the report by file name.

    ``side_by_side`` is for other pages, such as a README: the report's own page has its images as HTML. It is left out
    if neither the teacher nor the student at few steps was measured.

    Args:
        results: A run's measurements.
        cells: Its sample images, at least one cell.
        headline: The student in question.
    """
    rows = results.rows
    lines = ", ".join(dict.fromkeys(f"{row.model} with {row.solver}" for row in rows if not row.is_couplings))
    noises = len(cells[0].images)
    panels = choose_panels(rows, cells, headline, results.decoding_per_1000(headline.student))
    beside = {"side_by_side": draw_both(describe_panels(panels), lambda theme: side_by_side_figure(panels, theme))}
    return {
        **(beside if panels else {}),
        "fid_by_steps": draw_both(
            f"FID against the number of steps, both logarithmic, for {lines}; the table below holds the numbers.",
            lambda theme: fid_by_steps_figure(rows, theme),
            fids_by_steps(rows),
        ),
        "quality_by_seconds": draw_both(
            f"FID against seconds of sampling per 1,000 images, both logarithmic, for {lines}.",
            lambda theme: quality_by_seconds_figure(rows, theme),
        ),
        "samples": draw_both(
            f"Sample images: a row for each model, solver and step count, a column for each of up to {noises} noises.",
            lambda theme: sample_grid_figure(cells, theme),
        ),
        "straightness": draw_both(
            "Normalised straightness of each model as bars; the table below holds the numbers.",
            lambda theme: straightness_figure(results.models, theme),
        ),
        "losses": draw_both(
            f"Training loss by step, a panel each for {', '.join(results.losses) or 'no model'}.",
            lambda theme: loss_figure(results.losses, theme),
        ),
    }
