"""The cells of one model and solver, and how every figure draws them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.model_names import TEACHER
from pipeline.metrics.image_row import ImageRow
from pipeline.report.theme import Theme, cycle

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Series:
    """Cells of one model and solver.

    Attributes:
        rows: The cells, at least one.
        colour: Colour of the model; the teacher has one for each solver.
        marker: Distinguishes series that share a colour.
    """

    rows: tuple[ImageRow, ...]
    colour: str
    marker: str

    @property
    def label(self) -> str:
        """Name in legends."""
        return f"{self.rows[0].model} · {self.rows[0].solver}"


def series_of(rows: Sequence[ImageRow], theme: Theme) -> list[Series]:
    """The series in order of their first cells."""
    colours, teachers = theme.colours(row.model for row in rows), itertools.count()
    found = []
    for at, (model, solver) in enumerate(dict.fromkeys((row.model, row.solver) for row in rows)):
        colour = cycle(theme.teacher, next(teachers)) if model == TEACHER else colours[model]
        cells = tuple(row for row in rows if (row.model, row.solver) == (model, solver))
        found.append(Series(cells, colour, cycle(MARKERS, at)))
    return found
