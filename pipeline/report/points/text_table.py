"""What was measured of models of points, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.metrics.point_row import PointRow
from pipeline.report.images.summary import lines_by_steps


def text_table_of_points(rows: Sequence[PointRow]) -> str:
    """Distance to fresh points of every model and solver (down) at every step count (across), couplings below.

    Where the data have an edge, a second table holds the shares of points inside.
    """
    models = [row for row in rows if row.nfe is not None]
    distances = {(row.model, row.solver, row.num_steps): f"{row.sliced_wasserstein:.3f}" for row in models}
    shares = {
        (row.model, row.solver, row.num_steps): f"{row.inside_share:.3f}"
        for row in models
        if row.inside_share is not None
    }
    last = rows[-1]
    lines = [
        f"Sliced Wasserstein distance by steps, lower is better: {last.num_samples:,} points against as many fresh "
        f"ones, which are {last.sliced_wasserstein_floor:.3f} from each other",
        "",
        *lines_by_steps(distances),
        "",
        *(f"{row.model} ({row.solver}): {row.sliced_wasserstein:.3f}" for row in rows if row.nfe is None),
    ]
    if shares:
        lines += ["", "Share of points inside, higher is better", "", *lines_by_steps(shares)]
    return "\n".join(lines)
