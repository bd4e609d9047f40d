"""The few numbers a run is judged by, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.metrics.row import Row
from pipeline.report.images.comparisons import compare, headline_cells
from pipeline.report.images.results import Results, few_step_rows


def summary(results: Results, distilled_from: str) -> dict[str, float]:
    """Headline FIDs, ratios of FIDs, and straightness, as one flat mapping.

    Keys are ``distilled_1_fid``, its ``_std`` and seconds of sampling, ``couplings_fid`` (of those the distilled
    model learned), ``teacher_ddim_16_fid``, those of :func:`pipeline.report.images.comparisons.compare`, and
    ``straightness_normalised_<model>``. A number whose cells were not measured is left out.

    Args:
        results: A run's measurements.
        distilled_from: Round whose couplings the distilled model learned.
    """
    rows = few_step_rows(results)
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


def headline(rows: Sequence[Row], distilled_from: str) -> str:
    """The run in one sentence; says so where the one-step cell is missing, and where a difference is none."""
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
            words = f"{against[comparison.key]} ({format_fid(comparison.denominator.fid)})"
            parts.append(
                f"{comparison.ratio:.2f} times {words}" if comparison.told_apart else f"within the spread of {words}"
            )
    text = f"One network evaluation reaches FID {format_fid(distilled.fid)}"
    return f"{text}: {' and '.join(parts)}." if parts else f"{text}."


def describe_measure(rows: Iterable[Row]) -> str:
    """What FIDs of models were measured with: features, samples, reference and seed; all values where rows differ."""
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


def text_table(rows: Sequence[Row]) -> str:
    """FID of every model and solver (down) at every step count (across), fixed width, couplings below."""
    fids = {(row.model, row.solver, row.num_steps): format_fid(row.fid) for row in rows if not row.is_couplings}
    stores = [f"{row.model} ({describe_solver(row)}): {format_fid(row.fid)}" for row in rows if row.is_couplings]
    title = f"FID by steps, lower is better: {describe_measure(rows)}"
    return "\n".join([title, "", *lines_by_steps(fids), "", *stores]).rstrip()


def lines_by_steps(cells: Mapping[tuple[str, str, int | None], str]) -> list[str]:
    """Lines of a table of fixed width, every model and solver down, every step count across.

    Args:
        cells: What is shown of each (model, solver, number of steps, None for an adaptive solver).
    """
    counts: list[int | None] = [*sorted({count for _, _, count in cells if count is not None})]
    if any(count is None for _, _, count in cells):
        counts.append(None)
    series = list(dict.fromkeys((model, solver) for model, solver, _ in cells))
    lines = [("model", "solver", *("adaptive" if count is None else str(count) for count in counts))]
    lines += [
        (model, solver, *(cells.get((model, solver, count), "-") for count in counts)) for model, solver in series
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(counts) + 2)]
    head, *body = ["  ".join(_align(cell, width, at) for at, (cell, width) in enumerate(zip(line, widths, strict=True)))
                   for line in lines]  # fmt: skip
    return [head, "-" * len(head), *body]


def describe_solver(row: Row) -> str:
    """Solver and steps in words, for example ``unipc, 16 steps``."""
    return f"{row.solver}, {steps_in_words(row.num_steps)}"


def steps_in_words(num_steps: int | None) -> str:
    """For example ``4 steps``; ``adaptive`` for None."""
    if num_steps is None:
        return "adaptive"
    return f"{num_steps} step{'s' if num_steps > 1 else ''}"


def format_fid(value: float) -> str:
    """Three significant digits or all before the point."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)
