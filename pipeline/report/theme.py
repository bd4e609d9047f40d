"""Colours of figures on a light and on a dark background, distinguishable with any kind of colour vision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.config.model_names import TEACHER


@dataclass(frozen=True)
class Theme:
    """Colours of one background.

    Attributes:
        background: Behind everything else.
        text: Labels and ticks.
        grid: Grid lines.
        teacher: One for each of the teacher's solvers, neutral.
        students: In order of the models; from Okabe & Ito's palette, shifted for contrast with the background.
    """

    background: str
    text: str
    grid: str
    teacher: tuple[str, ...]
    students: tuple[str, ...]

    def colours(self, models: Iterable[str]) -> dict[str, str]:
        """A colour for each model; students beyond the palette repeat it from the start."""
        students = [name for name in dict.fromkeys(models) if name != TEACHER]
        return {TEACHER: self.teacher[0]} | {name: cycle(self.students, at) for at, name in enumerate(students)}


LIGHT = Theme(
    background="#ffffff",
    text="#1d2129",
    grid="#dfe2e7",
    teacher=("#80868f", "#1d2129"),
    students=("#0072b2", "#d55e00", "#007a59", "#b0508a", "#9a6b00"),
)
DARK = Theme(
    background="#171a20",
    text="#e4e6ea",
    grid="#343a45",
    teacher=("#8f96a1", "#f2f3f5"),
    students=("#56b4e9", "#f08a3c", "#2fc296", "#e08fc0", "#f0e442"),
)


def cycle(values: Sequence[str], index: int) -> str:
    """The value at ``index``, starting over after the last."""
    return values[index % len(values)]
