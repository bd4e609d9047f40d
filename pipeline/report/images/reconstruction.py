"""A run on latents in pixels: what the autoencoder gives back, then teacher, couplings and student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.config.graph import Headline
from pipeline.config.model_names import TEACHER
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.reconstruction_measures import ReconstructionQuality
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.report.html import table
from pipeline.report.images.comparisons import (
    STUDENT_STEPS,
    at_most_samples,
    best_teacher,
    by_first_features,
    by_judge,
)
from pipeline.report.images.results import Results
from pipeline.report.step_table import steps_in_words

_ABOUT = (
    "Every number here is of images: samples of networks are decoded first. What the autoencoder loses of held-out "
    "images no model of its latents gets back. Of the teacher each solver is shown at its best; where it is guided, it "
    "draws images that are more typical of their class, which a distance of distributions does not reward. Distances "
    "of unequal numbers of samples do not compare."
)


def reconstruction_section(results: Results, headline: Headline) -> str:
    """HTML of the table and what it means; empty where no reconstruction was measured.

    Args:
        results: A run's measurements.
        headline: The student in question, and the couplings that it learned.
    """
    measured = results.reconstruction
    if measured is None:
        return ""
    kinds = [rows for rows in (by_first_features(results.rows), by_judge(results.rows)) if rows]
    columns = [dict(_lines(rows, measured, headline)) for rows in kinds]
    head = ("images", "samples", *(_named(rows[0]) for rows in kinds))
    lines = [
        (name, f"{count:,}", *(column.get((name, count)) for column in columns))
        for name, count in dict.fromkeys(key for column in columns for key in column)
    ]
    return (
        f"<h2>Reconstruction</h2>{table('FID of each stage, in pixels', head, lines)}"
        f'<p class="soft">{_ABOUT} The mean squared error of an entry of a reconstruction, in [−1, 1], is '
        f"{measured.mean_squared_error:.3g}.</p>"
    )


def reconstruction_numbers(results: Results, headline: Headline) -> dict[str, float | None]:
    """Entries of the summary of a run on latents; none where no reconstruction was measured.

    They are ``reconstruction_mean_squared_error``; ``reconstruction_fid`` and its floor ``heldout_images_fid``;
    ``teacher_fid``, the teacher's lowest; and ``couplings_ode_fid``, the teacher's as the couplings were drawn; the
    last four also by the judge, with ``judge_`` before them.

    Args:
        results: A run's measurements.
        headline: The student in question, and the couplings that it learned.
    """
    measured = results.reconstruction
    if measured is None:
        return {}
    numbers: dict[str, float | None] = {"reconstruction_mean_squared_error": measured.mean_squared_error}
    for prefix, rows in (("", by_first_features(results.rows)), ("judge_", by_judge(results.rows))):
        row = next((row for row in measured.rows if row.is_judge == bool(prefix)), None)
        best, ode = best_teacher(rows), _ode_of_couplings(rows, headline)
        found = {
            "heldout_images_fid": None if row is None else row.fid_of_images,
            "reconstruction_fid": None if row is None else row.fid,
            "teacher_fid": None if best is None else best.fid,
            "couplings_ode_fid": None if ode is None else ode.fid,
        }
        numbers |= {prefix + key: value for key, value in found.items()}
    return numbers


def _named(row: ImageRow) -> str:
    return f"FID by {row.features}{', the judge' if row.is_judge else ''}"


def _lines(
    rows: Sequence[ImageRow], measured: ReconstructionQuality, headline: Headline
) -> Iterator[tuple[tuple[str, int], str]]:
    """What was measured and on how many images → its FID by one kind of features."""
    for item in measured.rows:
        if item.is_judge == rows[0].is_judge:
            yield ("held-out images", measured.num_images), f"{item.fid_of_images:.2f}"
            yield ("their reconstructions", measured.num_images), f"{item.fid:.2f}"
    for row in [*_teacher(rows), *_couplings(rows, headline), *_student(rows, headline)]:
        yield (f"{row.model}, {row.solver}, {steps_in_words(row.num_steps)}", row.num_samples), f"{row.fid:.2f}"


def _teacher(rows: Sequence[ImageRow]) -> Iterator[ImageRow]:
    """The best cell of each of its solvers, guided ones by themselves."""
    cells = [row for row in at_most_samples(rows) if row.model == TEACHER]
    for solver in dict.fromkeys(row.solver for row in cells):
        yield min((row for row in cells if row.solver == solver), key=lambda row: row.fid)


def _couplings(rows: Sequence[ImageRow], headline: Headline) -> list[ImageRow]:
    return [row for row in at_most_samples(rows) if row.model == COUPLINGS_PREFIX + headline.couplings]


def _student(rows: Sequence[ImageRow], headline: Headline) -> Iterator[ImageRow]:
    for row in at_most_samples(rows):
        if (row.model, row.solver) == (headline.student, "euler") and row.num_steps in STUDENT_STEPS:
            yield row


def _ode_of_couplings(rows: Sequence[ImageRow], headline: Headline) -> ImageRow | None:
    """The teacher's cell by the solver and steps that the couplings were drawn with."""
    for store in _couplings(rows, headline):
        for row in at_most_samples(rows):
            if row.cell == (TEACHER, store.solver, store.num_steps):
                return row
    return None
