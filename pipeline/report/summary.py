"""The few numbers a run is judged by, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.config import DISTILLED, TEACHER
from pipeline.metrics.row import Row
from pipeline.report.results import Results, few_step_rows

BASELINE = "teacher_ddim_16"


def summary(results: Results, distilled_from: str) -> dict[str, float]:
    """Headline FIDs, ratios of FIDs, and straightness, as one flat mapping.

    Keys are ``distilled_1_fid``, ``couplings_fid`` (of those the distilled model learned),
    ``teacher_ddim_16_fid``, ``distilled_1_over_teacher_ddim_16``, ``distilled_1_over_couplings``,
    ``<round>_4_over_teacher_ddim_16``, ``teacher_unipc_16_over_ddim_16`` and
    ``straightness_normalised_<model>``. A number whose cells were not measured is left out.

    Args:
        results: A run's measurements.
        distilled_from: Round whose couplings the distilled model learned.
    """
    fid = {(row.model, row.solver, row.num_steps): row.fid for row in few_step_rows(results)}
    distilled = fid.get((DISTILLED, "euler", 1))
    couplings = results.couplings[distilled_from].row.fid if distilled_from in results.couplings else None
    teacher = fid.get((TEACHER, "ddim", 16))
    numbers = {
        "distilled_1_fid": distilled,
        "couplings_fid": couplings,
        f"{BASELINE}_fid": teacher,
        f"distilled_1_over_{BASELINE}": _ratio(distilled, teacher),
        "distilled_1_over_couplings": _ratio(distilled, couplings),
        **{f"{name}_4_over_{BASELINE}": _ratio(fid.get((name, "euler", 4)), teacher) for name in results.couplings},
        "teacher_unipc_16_over_ddim_16": _ratio(fid.get((TEACHER, "unipc", 16)), teacher),
        **{f"straightness_normalised_{model.model}": model.straightness_normalised for model in results.models},
    }
    return {key: value for key, value in numbers.items() if value is not None}


def headline(numbers: Mapping[str, float]) -> str:
    """The run in one sentence, from what :func:`summary` found; says so where the one-step cell is missing."""
    if "distilled_1_fid" not in numbers:
        return "The distilled model was not measured at one step."
    text = f"One network evaluation reaches FID {format_fid(numbers['distilled_1_fid'])}"
    parts = []
    if f"distilled_1_over_{BASELINE}" in numbers:
        ratio, teacher = numbers[f"distilled_1_over_{BASELINE}"], format_fid(numbers[f"{BASELINE}_fid"])
        parts.append(f"{ratio:.2f} times the teacher’s at 16 DDIM steps ({teacher})")
    if "distilled_1_over_couplings" in numbers:
        ratio, couplings = numbers["distilled_1_over_couplings"], format_fid(numbers["couplings_fid"])
        parts.append(f"{ratio:.2f} times that of the couplings it learned from ({couplings})")
    return f"{text}: {' and '.join(parts)}." if parts else f"{text}."


def ratio_lines(numbers: Mapping[str, float]) -> list[tuple[str, float]]:
    """(what is compared, ratio) for every ratio of :func:`summary`, in plain words."""
    return [
        (_ratio_in_words(key), value) for key, value in numbers.items() if "_over_" in key and not key.endswith("_fid")
    ]


def describe_measure(rows: Iterable[Row]) -> str:
    """What FIDs of models were measured with: features, samples, reference and seed; all values where rows differ."""
    measured = [row for row in rows if not row.is_couplings]
    features, counts, references, seeds = (
        ", ".join(dict.fromkeys(values))
        for values in (
            [row.features for row in measured],
            [f"{row.num_samples:,}" for row in measured],
            [row.reference for row in measured],
            [str(row.seed) for row in measured],
        )
    )
    return f"{features} features · {counts} samples · against the {references} split · seed {seeds}"


def text_table(rows: Sequence[Row]) -> str:
    """FID of every model and solver (down) at every step count (across), fixed width, couplings below."""
    models = [row for row in rows if not row.is_couplings]
    counts = sorted({row.num_steps for row in models if row.num_steps is not None})
    fid = {(row.model, row.solver, row.num_steps): format_fid(row.fid) for row in models}
    series = list(dict.fromkeys((row.model, row.solver) for row in models))
    lines = [("model", "solver", *map(str, counts))]
    lines += [(model, solver, *(fid.get((model, solver, count), "-") for count in counts)) for model, solver in series]
    widths = [max(len(line[column]) for line in lines) for column in range(len(counts) + 2)]
    table = ["  ".join(_align(cell, width, at) for at, (cell, width) in enumerate(zip(line, widths, strict=True)))
             for line in lines]  # fmt: skip
    stores = [f"{row.model} ({describe_solver(row)}): {format_fid(row.fid)}" for row in rows if row.is_couplings]
    title = f"FID by steps, lower is better: {describe_measure(rows)}"
    return "\n".join([title, "", table[0], "-" * len(table[0]), *table[1:], "", *stores]).rstrip()


def describe_solver(row: Row) -> str:
    """Solver and steps in words, for example ``unipc, 16 steps``."""
    if row.num_steps is None:
        return f"{row.solver}, adaptive"
    return f"{row.solver}, {row.num_steps} step{'s' if row.num_steps > 1 else ''}"


def format_fid(value: float) -> str:
    """Three significant digits or all before the point."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or denominator is None or denominator <= 0:
        return None
    return numerator / denominator


def _ratio_in_words(key: str) -> str:
    if key == "teacher_unipc_16_over_ddim_16":
        return "teacher at 16 UniPC steps ÷ teacher at 16 DDIM steps"
    numerator, denominator = key.split("_over_")
    model, steps = numerator.rsplit("_", 1)
    below = "the couplings it learned from" if denominator == "couplings" else "teacher at 16 DDIM steps"
    return f"{model} at {steps} step{'s' if steps != '1' else ''} ÷ {below}"
