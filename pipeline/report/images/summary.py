"""The headline numbers of a run on images, and its table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.config.graph import Headline
from pipeline.metrics.image_row import FILE, ImageRow, differences
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.metrics.uncertainty import Estimate
from pipeline.report.few_step_csv import read_few_step_csv
from pipeline.report.images.comparisons import (
    STUDENT_STEPS,
    at_least_samples,
    at_most_samples,
    by_first_features,
    by_judge,
    by_untaught_features,
    compare,
    equal_evaluations,
    evaluations_in_words,
)
from pipeline.report.images.reconstruction import reconstruction_numbers
from pipeline.report.images.results import Results
from pipeline.report.step_table import lines_by_steps, steps_in_words


def summary(results: Results, headline: Headline, rounds: Mapping[str, str]) -> dict[str, float]:
    """Headline FIDs and ratios with their intervals, and straightness, as one flat mapping.

    Keys are ``<student>_<steps>_fid`` and ``couplings_fid``, of the most samples that there are, with ``_low`` and
    ``_high``; those of :func:`pipeline.report.images.comparisons.compare`, also with ``_low`` and ``_high``, and by the
    judge with ``judge_`` before them; ``<student>_<steps>_equals_teacher_evaluations``; ``drift_<couplings>`` of
    further rounds; ``straightness_normalised_<model>``; and, of a run on latents, those of
    :func:`pipeline.report.images.reconstruction.reconstruction_numbers`. Numbers whose cells were not measured, or that
    are unknown, are left out.

    Args:
        results: A run's measurements.
        headline: The student in question, and the couplings that it learned.
        rounds: From :func:`pipeline.config.graph.rounds_before`.
    """
    numbers: dict[str, float | None] = {}
    for prefix, rows in (("", by_first_features(results.rows)), ("judge_", by_judge(results.rows))):
        named = {COUPLINGS_PREFIX + headline.couplings: "couplings_fid"}
        for row in at_most_samples(rows):
            key = f"{headline.student}_{row.num_steps}_fid" if row.model == headline.student else named.get(row.model)
            if key is not None and (row.is_couplings or row.num_steps in STUDENT_STEPS):
                numbers |= _with_interval(prefix + key, row.fid, row.fid_estimate)
        for item in compare(rows, headline):
            numbers |= _with_interval(prefix + item.key, item.ratio, item.interval)
    for row in at_least_samples(by_first_features(results.rows)):
        if row.model == headline.student and row.num_steps in STUDENT_STEPS:
            count = equal_evaluations(by_first_features(results.rows), row)
            known = count is not None and math.isfinite(count)
            numbers[f"{row.model}_{row.num_steps}_equals_teacher_evaluations"] = count if known else None
            numbers[f"{row.model}_{row.num_steps}_seconds_per_1000"] = row.seconds_per_1000
    for name, before in rounds.items():
        drift = results.drift(name, before)
        if drift is not None and drift.ratio is not None:
            numbers |= _with_interval(f"drift_{name}", drift.ratio.value, drift.ratio)
    for model in results.models:
        numbers[f"straightness_normalised_{model.model}"] = model.trajectories.straightness_normalised
    numbers |= reconstruction_numbers(results, headline)
    return {key: value for key, value in numbers.items() if value is not None}


def _with_interval(key: str, value: float, interval: Estimate | None) -> dict[str, float | None]:
    ends = {} if interval is None else {f"{key}_low": interval.low, f"{key}_high": interval.high}
    return {key: value, **ends}


def headline_sentence(rows: Sequence[ImageRow], headline: Headline) -> str:
    """The run in a sentence on one step and one on further steps; the first says if its cell or spread is unknown.

    Args:
        rows: Every measured cell.
        headline: The student in question, and the couplings that it learned.
    """
    chosen = by_untaught_features(rows, headline)
    one_step = (headline.student, "euler", 1)
    most = next((row for row in at_most_samples(chosen) if row.cell == one_step), None)
    least = next((row for row in at_least_samples(chosen) if row.cell == one_step), None)
    if most is None or least is None:
        return f"The student {headline.student} was not measured at one step."
    text = f"One network evaluation reaches FID {fid_in_words(most)}"
    against = next((item for item in compare(chosen, headline) if item.key.endswith("_1_over_couplings")), None)
    if against is not None:
        text += f", {against.verdict} times that of its couplings"
    count = equal_evaluations(chosen, least)
    if count is not None:
        text += f", as {evaluations_in_words(count, chosen)} evaluations of its teacher do"
    return f"{text}.{_further_steps(chosen, most)}{_of_features(headline, most)}"


def _of_features(headline: Headline, row: ImageRow) -> str:
    """A sentence on the features of the headline, where its student was trained on the first; else empty."""
    if not headline.taught:
        return ""
    if row.is_judge:
        return " These are FIDs by the judge: the first features are what the student was trained on."
    return " The student was trained on these features, so its FIDs are lower than its images deserve."


def _further_steps(rows: Sequence[ImageRow], one_step: ImageRow) -> str:
    """A sentence on the FIDs at further few steps, of as many samples as ``one_step``; empty without any."""
    fids = {
        row.num_steps: row.fid for row in rows if row.cell[:2] == one_step.cell[:2] and not differences(row, one_step)
    }
    further = [steps for steps in STUDENT_STEPS[1:] if steps in fids]
    if not further:
        return ""
    counts, values = (", ".join(map(str, items)) for items in (further, [format_fid(fids[steps]) for steps in further]))
    return f" At {counts} evaluations it is {values}."


def fid_in_words(row: ImageRow) -> str:
    """The FID with its 95 % interval, for example ``4.10 [3.90, 4.30]``."""
    interval = row.fid_estimate
    ends = "spread unknown" if interval is None else f"{format_fid(interval.low)}, {format_fid(interval.high)}"
    return f"{format_fid(row.fid)} [{ends}]"


def describe_measure(rows: Iterable[ImageRow]) -> str:
    """Features, samples, reference and seed of the models' FIDs, with all values if rows differ."""
    measured = [row for row in rows if not row.is_couplings]
    features, counts, references, starts = (
        ", ".join(dict.fromkeys(values))
        for values in (
            [row.features for row in measured],
            [f"{row.num_samples:,}" for row in measured],
            [_reference_in_words(row) for row in measured],
            [str(row.seed) for row in measured],
        )
    )
    chunks = max((row.num_chunks for row in measured), default=1)
    mean = "" if chunks == 1 else f", the mean of up to {chunks} such sets"
    return f"{features} features · {counts} samples{mean} · against the {references} · noise seed {starts}"


def _reference_in_words(row: ImageRow) -> str:
    return (
        "statistics of a file, which does not say of how many images"
        if row.reference == FILE
        else (f"{row.reference} split")
    )


def describe_table(path: Path, headline: Headline) -> str:
    """The few-step table at ``path`` for the terminal, and the run in one sentence.

    Raises:
        StraightflowError: If it is missing, or not a table of images.
    """
    rows = read_few_step_csv(path, ImageRow)
    tables = [text_table(part) for part in (by_first_features(rows), by_judge(rows)) if part]
    return "\n\n".join([*tables, headline_sentence(rows, headline)])


def text_table(rows: Sequence[ImageRow]) -> str:
    """FID of every model and solver (down) at every step count (across), fixed width, couplings below.

    Args:
        rows: Measured by one kind of features.
    """
    alike = at_least_samples(rows)
    fids = {row.cell: format_fid(row.fid) for row in alike if not row.is_couplings}
    stores = [f"{row.model} ({describe_solver(row)}): {fid_in_words(row)}" for row in alike if row.is_couplings]
    judge = ", the judge" if rows[0].is_judge else ""
    title = f"FID by steps, lower is better: {describe_measure(alike)}{judge}"
    many = [
        f"{row.model} ({describe_solver(row)}) with {row.num_samples:,} samples: {fid_in_words(row)}"
        for row in at_most_samples(rows)
        if row not in alike
    ]
    return "\n".join([title, "", *lines_by_steps(fids), "", *stores, *([""] if many else []), *many]).rstrip()


def describe_solver(row: ImageRow) -> str:
    """Solver and steps in words, for example ``unipc, 16 steps``."""
    return f"{row.solver}, {steps_in_words(row.num_steps)}"


def format_two_digits(value: float) -> str:
    """Two significant digits, or all digits before the decimal point."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def format_fid(value: float) -> str:
    """Three significant digits, or all digits before the decimal point."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
