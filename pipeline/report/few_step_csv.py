"""``metrics/few_step.csv``: a line for every measured cell."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from pipeline.metrics.row import Row
from pipeline.report.reading import load_csv, parse_csv
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError

AnyRow = TypeVar("AnyRow", bound=Row)


def write_few_step_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows, at least one and all of one class, atomically.

    None becomes an empty field, and ``nfe`` has a decimal point only if it is not a whole number.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, type(rows[0]).columns(), extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row) | {"nfe": f"{row.nfe:g}" if isinstance(row.nfe, float) else row.nfe})


def read_few_step_csv(path: Path, kind: type[AnyRow]) -> tuple[AnyRow, ...]:
    """Rows of a table of ``kind``, at least one; the errors of :func:`pipeline.report.reading.load_csv`."""
    rows = load_csv(path, kind)
    require_cells(rows, str(path))
    return rows


def require_cells(rows: Sequence[Row], origin: str, model: str | None = None) -> None:
    """Checks that there is at least one row, and one for each cell.

    Args:
        rows: The rows of a table.
        origin: Names the table in errors.
        model: The only model that the table is of; None where it is of several.

    Raises:
        StraightflowError: If there is none, a cell is there twice, or one is of another model.
    """
    cells = [row.key for row in rows]
    twice = next((cell for cell, count in Counter(cells).items() if count > 1), None)
    if not cells or twice is not None:
        raise StraightflowError(
            expected=f"a line for every measured cell in {origin}, and one alone",
            found="none" if twice is None else f"several for {' '.join(map(str, twice))}",
            mend="run `dvc repro`, which writes it again",
        )
    others = sorted({row.model for row in rows} - {model})
    if model is not None and others:
        raise StraightflowError(
            expected=f"cells of {model} in {origin}",
            found=f"cells of {', '.join(others)}",
            mend=f"run `dvc repro --force evaluate@{model}`",
        )


def parse_few_step_csv(text: str, kind: type[AnyRow], origin: str) -> tuple[AnyRow, ...]:
    """Rows of a table given as text, each a ``kind`` and of a cell of its own; ``origin`` names the table in errors."""
    rows = parse_csv(text, kind, origin)
    if rows:
        require_cells(rows, origin)
    return rows
