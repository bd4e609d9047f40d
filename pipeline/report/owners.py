"""Whether a file of results is of the model, or of the couplings, that it is named after."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.row import COUPLINGS_PREFIX, Row
from pipeline.report.few_step_csv import require_cells
from pipeline.system.errors import StraightflowError


def require_model(found: str, rows: Sequence[Row], origin: str, model: str) -> None:
    """Checks that results are of ``model`` alone, with one row or more, each of another cell.

    Args:
        found: Model that the file says it is of.
        rows: Its rows.
        origin: Names the file in errors.
        model: Model that the file is named after.

    Raises:
        StraightflowError: If they are not.
    """
    if found != model:
        raise StraightflowError(
            expected=f"results of {model} in {origin}",
            found=f"model: {found}",
            mend=f"run `dvc repro --force evaluate@{model}`",
        )
    require_cells(rows, origin, model=model)


def require_couplings(rows: Sequence[ImageRow | PointRow], num_pairs: int, origin: str, name: str) -> None:
    """Checks that results are of the couplings of round ``name``, measured on no more samples than there are pairs.

    Args:
        rows: Their rows.
        num_pairs: Pairs in their store.
        origin: Names the file in errors.
        name: Round that the file is of.

    Raises:
        StraightflowError: If they are not.
    """
    problem = next((problem for row in rows if (problem := _problem_of_couplings(row, num_pairs, name))), None)
    if not rows:
        problem = "rows: none"
    if problem is not None:
        raise StraightflowError(
            expected=f"results of the couplings of {name} in {origin}",
            found=problem,
            mend=f"run `dvc repro --force assess@{name}`",
        )


def _problem_of_couplings(row: ImageRow | PointRow, num_pairs: int, name: str) -> str | None:
    if row.model != f"{COUPLINGS_PREFIX}{name}":
        return f"rows.model: {row.model}"
    measured = row.num_samples * (row.num_chunks if isinstance(row, ImageRow) else 1)
    return f"rows.num_samples: {measured} of num_pairs: {num_pairs}" if measured > num_pairs else None
