"""The headline numbers of a run on images, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import read_few_step_csv
from pipeline.report.images.comparisons import compare, headline_cells
from pipeline.report.images.results import Results
from pipeline.report.step_table import lines_by_steps, steps_in_words


def summary(results: Results, distilled_from: str) -> dict[str, float]:
    """Headline FIDs, ratios of FIDs, and straightness, as one flat mapping.

    Keys are ``distilled_1_fid``, its ``_std`` and seconds of sampling, ``couplings_fid`` (of the couplings that the
    distilled model learned), ``teacher_ddim_16_fid``, those of :func:`pipeline.report.images.comparisons.compare`, and
    ``straightness_normalised_<model>``. Numbers whose cells were not measured are left out.

    Args:
        results: A run's measurements.
        distilled_from: Round whose couplings the distilled model learned.
    """
    rows = results.rows
    distilled, couplings, ddim = headline_cells(rows, distilled_from)
    numbers: dict[str, float | None] = {}
    if distilled is not None:
        numbers |= {
            "distilled_1_fid": distilled.fid,
            "distilled_1_fid_std": distilled.fid_std,
            "distilled_1_seconds_per_1000": distilled.seconds_per_1000,
        }
    if couplings is not None:
        numbers["couplings_fid"] = couplings.fid
    if ddim is not None:
        numbers["teacher_ddim_16_fid"] = ddim.fid
    numbers |= {comparison.key: comparison.ratio for comparison in compare(rows, distilled_from)}
    for model in results.models:
        numbers[f"straightness_normalised_{model.model}"] = model.trajectories.straightness_normalised
    return {key: value for key, value in numbers.items() if value is not None}


def headline(rows: Sequence[ImageRow], distilled_from: str) -> str:
    """The run in one sentence, which says if the one-step cell is missing or a difference is not significant."""
    distilled, _, _ = headline_cells(rows, distilled_from)
    if distilled is None:
        return "The distilled model was not measured at one step."
    against = {
        "distilled_1_over_teacher_ddim_16": "the teacher’s at 16 DDIM steps",
        "distilled_1_over_couplings": "that of the couplings it learned from",
    }
    parts = []
    for comparison in compare(rows, distilled_from):
        if comparison.key in against:
            relation = f"{comparison.ratio:.2f} times" if comparison.is_significant else "within the spread of"
            parts.append(f"{relation} {against[comparison.key]} ({format_fid(comparison.denominator.fid)})")
    text = f"One network evaluation reaches FID {format_fid(distilled.fid)}"
    return f"{text}: {' and '.join(parts)}." if parts else f"{text}."


def describe_measure(rows: Iterable[ImageRow]) -> str:
    """Features, samples, reference and seed of the models' FIDs, with all values if rows differ."""
    measured = [row for row in rows if not row.is_couplings]
    features, counts, references, starts = (
        ", ".join(dict.fromkeys(values))
        for values in (
            [row.features for row in measured],
            [f"{row.num_samples:,}" for row in measured],
            [row.reference for row in measured],
            [str(row.seed) for row in measured],
        )
    )
    most = max((row.num_seeds for row in measured), default=1)
    seeds = f"seed {starts}" if most == 1 else f"1 to {most} seeds from {starts}"
    return f"{features} features · {counts} samples · against the {references} split · {seeds}"


def describe_table(path: Path, distilled_from: str) -> str:
    """The few-step table at ``path`` for the terminal, and the run in one sentence.

    Raises:
        StraightflowError: If it is missing, or not a table of images.
    """
    rows = read_few_step_csv(path, ImageRow)
    return f"{text_table(rows)}\n\n{headline(rows, distilled_from)}"


def text_table(rows: Sequence[ImageRow]) -> str:
    """FID of every model and solver (down) at every step count (across), fixed width, couplings below."""
    fids = {row.cell: format_fid(row.fid) for row in rows if not row.is_couplings}
    stores = [f"{row.model} ({describe_solver(row)}): {format_fid(row.fid)}" for row in rows if row.is_couplings]
    title = f"FID by steps, lower is better: {describe_measure(rows)}"
    return "\n".join([title, "", *lines_by_steps(fids), "", *stores]).rstrip()


def describe_solver(row: ImageRow) -> str:
    """Solver and steps in words, for example ``unipc, 16 steps``."""
    return f"{row.solver}, {steps_in_words(row.num_steps)}"


def format_fid(value: float) -> str:
    """Three significant digits, or all digits before the decimal point."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
