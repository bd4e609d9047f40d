"""``metrics/few_step.csv``: a line for every measured cell."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.metrics.row import COLUMNS, Row
from pipeline.report.reading import load_csv, parse_csv
from pipeline.system.atomic import atomic_file


def write_cells(path: Path, columns: Sequence[str], cells: Iterable[Mapping[str, Any]]) -> None:
    """Writes cells as CSV, atomically; None becomes an empty field."""
    with atomic_file(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(cells)


def write_few_step_csv(path: Path, rows: Iterable[Row]) -> None:
    """Writes the cells of an image run, with the columns ``COLUMNS``."""
    write_cells(path, COLUMNS, (asdict(row) | {"nfe": None if row.nfe is None else f"{row.nfe:g}"} for row in rows))


def read_few_step_csv(path: Path) -> tuple[Row, ...]:
    """Reads rows written by :func:`write_few_step_csv`; the errors of :func:`pipeline.report.reading.load_csv`."""
    return load_csv(path, Row)


def parse_few_step_csv(text: str, origin: str) -> tuple[Row, ...]:
    """Reads the text of a table; ``origin`` names it in errors."""
    return parse_csv(text, Row, origin)
