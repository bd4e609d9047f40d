"""The page of :mod:`benchmarks.league`: every method by steps, and who is best where."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.metrics.image_row import ImageRow
from pipeline.report.images.comparisons import STUDENT_STEPS
from pipeline.report.step_table import steps_in_words


@dataclass(frozen=True)
class Cell:
    """FID of a recipe's students at one number of steps by one kind of features.

    Attributes:
        fids: Of each student.
        reach: Half the width of the 95 % interval of one student's FID, the median over them; None if unknown.
        is_judge: Whether the features judge alone.
    """

    fids: tuple[float, ...]
    reach: float | None
    is_judge: bool

    @classmethod
    def of(cls, rows: Sequence[ImageRow]) -> Self:
        """From a row for each student."""
        intervals = [interval for row in rows if (interval := row.fid_estimate) is not None]
        reach = statistics.median((item.high - item.low) / 2 for item in intervals) if intervals else None
        return cls(tuple(row.fid for row in rows), reach, rows[0].is_judge)

    @property
    def mean(self) -> float:
        """Over students."""
        return statistics.mean(self.fids)


@dataclass(frozen=True)
class Entry:
    """A line of the league.

    Attributes:
        name: Of the recipe, the couplings or the teacher.
        what: Method and start, in words.
        num_seeds: Students measured.
        cells: By features and number of steps.
        compute: Forward-equivalents from the teacher to one of them; None if unknown.
        seconds: Wall seconds of its training and of those that it comes from, without the teacher's; None if unknown.
        is_student: Whether it competes, rather than being what others are held against.
    """

    name: str
    what: str
    num_seeds: int
    cells: Mapping[tuple[str, int], Cell]
    compute: int | None = None
    seconds: float | None = None
    is_student: bool = False


def league_page(preset: str, entries: Sequence[Entry], num_samples: int, figure: str | None) -> list[str]:
    """Lines of the page.

    Args:
        preset: Name of the run's preset.
        entries: What was measured, in order.
        num_samples: Images of a FID.
        figure: File name of the figure beside the page; None for none.
    """
    computes = [entry.compute for entry in entries if entry.is_student and entry.compute is not None]
    budget = f" at {_in_millions(max(computes))} forward-equivalents or less" if computes else ""
    lines = [
        f"# Methods{budget}",
        "",
        f"Preset {preset}, FID of {num_samples:,} images. Mean over training seeds; in brackets the smallest and the "
        "largest, and half the width of one student's 95 % interval. The lowest mean of a column is bold. Compute is "
        "the ledger's total from the teacher to one student, couplings included, in millions of forward-equivalents: a "
        "backward pass counts two. Seconds are those of a student's training and of the students it comes from. "
        f"Made by `python -m benchmarks.league RUN --write docs/{preset}.md`.",
    ]
    if figure is not None:
        lines += ["", f"![FID against steps for every method, by both kinds of features]({figure})"]
    for features, is_judge in _features(entries):
        lines += ["", f"## {features}{', the judge' if is_judge else ''}", "", *_table(entries, features)]
    lines += ["", "## Which method for which number of steps", ""]
    lines += [_best_at(steps, entries) for steps in STUDENT_STEPS if _measured_at(steps, entries)]
    return lines


def _features(entries: Sequence[Entry]) -> list[tuple[str, bool]]:
    """Kinds of features and whether they judge, the judge last."""
    found = {key[0]: cell.is_judge for entry in entries for key, cell in entry.cells.items()}
    return sorted(found.items(), key=lambda item: item[1])


def _table(entries: Sequence[Entry], features: str) -> list[str]:
    heads = ["student", "method and start", "seeds", *map(steps_in_words, STUDENT_STEPS), "compute", "seconds"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    best = {steps: _ranked(steps, features, entries)[:1] for steps in STUDENT_STEPS}
    for entry in entries:
        cells = [_shown(entry.cells.get((features, steps)), entry in best[steps]) for steps in STUDENT_STEPS]
        compute = "–" if entry.compute is None else _in_millions(entry.compute, unit=False)
        seconds = "–" if entry.seconds is None else f"{entry.seconds:,.0f}"
        seeds = str(entry.num_seeds) if entry.is_student else "–"
        lines.append(f"| {' | '.join([entry.name, entry.what, seeds, *cells, compute, seconds])} |")
    return lines


def _best_at(steps: int, entries: Sequence[Entry]) -> str:
    """The best by each kind of features, and those that the seeds do not tell from it."""
    parts = []
    for features, is_judge in _features(entries):
        ranked = _ranked(steps, features, entries)
        if not ranked:
            continue
        best, *others = ranked
        worst_of_best = max(best.cells[features, steps].fids)
        close = [entry.name for entry in others if min(entry.cells[features, steps].fids) <= worst_of_best]
        shown = f"**{best.name}** by {'the judge' if is_judge else features}"
        parts.append(shown + (f" (seeds overlap with {', '.join(close)})" if close else ""))
    return f"- {steps_in_words(steps)}: {'; '.join(parts)}."


def _ranked(steps: int, features: str, entries: Sequence[Entry]) -> list[Entry]:
    """Competing entries by their mean, the best first."""
    measured = [entry for entry in entries if entry.is_student and (features, steps) in entry.cells]
    return sorted(measured, key=lambda entry: entry.cells[features, steps].mean)


def _measured_at(steps: int, entries: Sequence[Entry]) -> bool:
    return any(key[1] == steps for entry in entries if entry.is_student for key in entry.cells)


def _shown(cell: Cell | None, is_best: bool) -> str:
    if cell is None:
        return "–"
    digits = 0 if cell.mean >= 100 else 2 if cell.mean >= 2 else 3
    mean = f"{cell.mean:.{digits}f}"
    notes = [f"{min(cell.fids):.{digits}f} to {max(cell.fids):.{digits}f}"] if len(cell.fids) > 1 else []
    notes += [] if cell.reach is None else [f"± {cell.reach:.{digits}f}"]
    return (f"**{mean}**" if is_best else mean) + (f" ({'; '.join(notes)})" if notes else "")


def _in_millions(count: int, *, unit: bool = True) -> str:
    return f"{count / 1e6:.3g}{' million' if unit else ''}"
