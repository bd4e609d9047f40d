"""``metrics/few_step.csv``: a line for every measured cell."""

from __future__ import annotations

import csv
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
        writer = csv.DictWriter(stream, type(rows[0]).columns())
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row) | {"nfe": f"{row.nfe:g}" if isinstance(row.nfe, float) else row.nfe})


def read_few_step_csv(path: Path, kind: type[AnyRow]) -> tuple[AnyRow, ...]:
    """Rows of a table of ``kind``, at least one; the errors of :func:`pipeline.report.reading.load_csv`."""
    rows = load_csv(path, kind)
    if not rows:
        raise StraightflowError(
            expected=f"a line for every measured cell in {path}", found="none", mend="run `dvc repro`"
        )
    return rows


def parse_few_step_csv(text: str, kind: type[AnyRow], origin: str) -> tuple[AnyRow, ...]:
    """Rows of a table given as text, each a ``kind``; ``origin`` names the table in errors."""
    return parse_csv(text, kind, origin)
