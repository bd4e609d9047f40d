"""The headline numbers of a run on points, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.metrics.point_row import PointRow
from pipeline.report.few_step_csv import read_few_step_csv
from pipeline.report.points.results import Results
from pipeline.report.step_table import lines_by_steps


def summary(results: Results) -> dict[str, float]:
    """Headline distances, shares, straightness and field errors, as one flat mapping.

    Keys of a cell start with ``<model>_<num_steps>``, for adaptive solvers with ``<model>_<solver>``. If several
    solvers have the same number of steps, the first is taken.
    """
    numbers: dict[str, float] = {"sliced_wasserstein_floor": results.rows[-1].sliced_wasserstein_floor}
    for model in results.models:
        for row in model.rows:
            cell = f"{row.model}_{row.num_steps or row.solver}"
            numbers.setdefault(f"{cell}_sliced_wasserstein", row.sliced_wasserstein)
            if row.inside_share is not None:
                numbers.setdefault(f"{cell}_inside_share", row.inside_share)
    for model in results.models:
        numbers[f"straightness_{model.model}"] = model.trajectories.straightness
        if model.field_error is not None:
            numbers[f"velocity_error_{model.model}"] = model.field_error.velocity_error
            numbers[f"log_likelihood_error_{model.model}"] = model.field_error.log_likelihood_error
    return numbers


def describe_table(path: Path) -> str:
    """The few-step table at ``path`` for the terminal.

    Raises:
        StraightflowError: If it is missing, or not a table of points.
    """
    return text_table(read_few_step_csv(path, PointRow))


def text_table(rows: Sequence[PointRow]) -> str:
    """Distance to fresh points of every model and solver (down) at every step count (across), couplings below.

    If the data's support has an edge, a second table holds the shares of points inside.
    """
    models = [row for row in rows if not row.is_couplings]
    distances = {row.cell: f"{row.sliced_wasserstein:.3f}" for row in models}
    shares = {row.cell: f"{row.inside_share:.3f}" for row in models if row.inside_share is not None}
    last = rows[-1]
    lines = [
        f"Sliced Wasserstein distance by steps, lower is better: {last.num_samples:,} points against as many fresh "
        f"ones, which are {last.sliced_wasserstein_floor:.3f} from each other",
        "",
        *lines_by_steps(distances),
        "",
        *(f"{row.model} ({row.solver}): {row.sliced_wasserstein:.3f}" for row in rows if row.is_couplings),
    ]
    if shares:
        lines += ["", "Share of points inside, higher is better", "", *lines_by_steps(shares)]
    return "\n".join(lines)
