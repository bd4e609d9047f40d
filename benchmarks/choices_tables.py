"""The page of :mod:`benchmarks.choices`: results as markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

NUM_STEPS = (1, 4)
_STEPS = [f"FID, {count} step{'s' if count > 1 else ''}" for count in NUM_STEPS]


class Average(TypedDict):
    """A weight average: its half-life in images, its loss on held-out pairs, FID at each of :data:`NUM_STEPS`."""

    halflife: int
    heldout_loss: float
    fids: list[float]


class Student(TypedDict):
    """A trained student's measured averages, the one that becomes the model first."""

    choice: str
    seed: int
    averages: list[Average]


def choices_table(students: Sequence[Student], descriptions: Mapping[str, str]) -> list[str]:
    """One row per choice, with the FIDs of its students."""
    lines = [f"| choice | {' | '.join(_STEPS)} | training seeds |", f"|---|{'---|' * len(_STEPS)}---|"]
    for name, description in descriptions.items():
        own = [student for student in students if student["choice"] == name]
        if own:
            seeds = ", ".join(str(student["seed"]) for student in own)
            lines.append(f"| {description} | {_columns([student['averages'][0] for student in own])} | {seeds} |")
    return lines


def averages_table(students: Sequence[Student]) -> list[str]:
    """One row per half-life, shortest first, the model's marked; all students must have the same half-lives."""
    own = students[0]["averages"][0]["halflife"]
    lines = [f"| half-life, images | {' | '.join(_STEPS)} | held-out loss |", f"|---|{'---|' * len(_STEPS)}---|"]
    for length in sorted(average["halflife"] for average in students[0]["averages"]):
        same = [average for student in students for average in student["averages"] if average["halflife"] == length]
        heldout = spread([average["heldout_loss"] for average in same], 5)
        mark = " (the model's)" if length == own else ""
        lines.append(f"| {length:,}{mark} | {_columns(same)} | {heldout} |")
    return lines


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean, and in brackets the smallest and largest if there are several values."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else mean


def write_page(page: Path, lines: Sequence[str]) -> None:
    """Writes the whole page."""
    made = "Made by `python -m benchmarks.choices RUN --write docs/choices.md`."
    page.write_text("\n".join(["# Choices in training a student, at equal budget", "", *lines, "", made, ""]), "utf-8")


def _columns(averages: Sequence[Average]) -> str:
    by_steps = zip(*(average["fids"] for average in averages), strict=True)
    return " | ".join(spread(fids) for fids in by_steps)
