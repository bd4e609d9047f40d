"""What a run is judged by: FIDs that compare, their ratios, and the step counts of equal quality."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr

from pipeline.config.graph import Headline
from pipeline.config.model_names import TEACHER
from pipeline.metrics.image_row import ImageRow, differences, fid_ratio
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.metrics.uncertainty import Estimate

BASELINE_EVALUATIONS = (8, 16)
"""Network evaluations at which a student is compared with the best of its teacher's solvers."""
STUDENT_STEPS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Comparison:
    """Ratio of two FIDs that compare.

    Attributes:
        key: Name in ``metrics/summary.json``.
        against: What the numerator is divided by, in words.
        numerator: The cell in question.
        denominator: The cell it is compared with; its FID is above 0.
    """

    key: str
    against: str
    numerator: ImageRow
    denominator: ImageRow

    @property
    def ratio(self) -> float:
        """FID over FID; below 1 where the numerator is better."""
        return self.numerator.fid / self.denominator.fid

    @property
    def interval(self) -> Estimate | None:
        """The ratio with its 95 % interval; None if a spread is unknown."""
        return fid_ratio(self.numerator, self.denominator)

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves out 1. What is of unknown spread is no better and no worse."""
        return self.interval is not None and not self.interval.low <= 1 <= self.interval.high

    @property
    def verdict(self) -> str:
        """The ratio with its interval in words; ``≈`` before a ratio that is not significantly other than 1."""
        if self.interval is None:
            return f"{self.ratio:.2f}, spread unknown"
        mark = "" if self.is_significant else "≈ "
        return f"{mark}{self.ratio:.2f} [{self.interval.low:.2f}, {self.interval.high:.2f}]"


def compare(rows: Sequence[ImageRow], headline: Headline) -> tuple[Comparison, ...]:
    """The comparisons of a run by one kind of features, without those whose cells do not compare or were not measured.

    Args:
        rows: Measured cells.
        headline: The student in question, and the couplings that it learned.
    """
    student, couplings = headline.student, COUPLINGS_PREFIX + headline.couplings
    store = next((row for row in rows if row.model == couplings), None)
    wanted: list[tuple[str, str, Pair | None]] = []
    for steps in STUDENT_STEPS:
        cell, key = (student, "euler", steps), f"{student}_{steps}_over"
        if store is not None:
            wanted.append((f"{key}_couplings", "couplings", largest_pair(rows, cell, store.cell)))
            same_map = (TEACHER, store.solver, store.num_steps)
            wanted.append((f"{key}_their_ode", "their ODE, same noises", largest_pair(rows, cell, same_map)))
        for count in BASELINE_EVALUATIONS:
            best = best_teacher(rows, count)
            if best is not None:
                against = f"teacher at {count}"
                wanted.append((f"{key}_teacher_{count}", against, largest_pair(rows, cell, best.cell)))
    return tuple(
        Comparison(key, against, *pair)
        for key, against, pair in wanted
        if pair is not None and pair[0].fid >= 0 and pair[1].fid > 0
    )


Pair = tuple[ImageRow, ImageRow]
Cell = tuple[str, str, int | None]


def largest_pair(rows: Sequence[ImageRow], numerator: Cell, denominator: Cell) -> Pair | None:
    """The rows of two cells that compare, of as many samples as possible; None if none do."""
    above, below = ([row for row in rows if row.cell == cell] for cell in (numerator, denominator))
    pairs = [pair for pair in itertools.product(above, below) if not differences(*pair)]
    return max(pairs, key=lambda pair: pair[0].num_samples, default=None)


def best_teacher(rows: Iterable[ImageRow], evaluations: int | None = None) -> ImageRow | None:
    """The teacher's cell of lowest FID, with so many network evaluations or any, among those of fewest samples."""
    cells = [row for row in at_least_samples(rows) if row.model == TEACHER and evaluations in (None, row.nfe)]
    return min(cells, key=lambda row: row.fid, default=None)


def equal_evaluations(rows: Sequence[ImageRow], row: ImageRow) -> float | None:
    """Network evaluations at which the teacher's best solvers reach the FID of ``row``.

    The best FID of the teacher at each number of evaluations or fewer is interpolated, linearly between the logarithms
    of both. Infinity if none of the measured ones is as good; None if there is nothing to compare with.
    """
    of_teacher = [item for item in rows if item.model == TEACHER and not differences(item, row)]
    counts = sorted({item.nfe for item in of_teacher if item.nfe})
    best: list[tuple[float, float]] = []
    for count in counts:
        fid = min(item.fid for item in of_teacher if item.nfe and item.nfe <= count)
        if fid > 0 and (not best or fid < best[-1][1]):
            best.append((count, fid))
    if not best or row.fid <= 0:
        return None
    if row.fid >= best[0][1]:
        return float(best[0][0])
    for (fewer, worse), (more, better) in itertools.pairwise(best):
        if better <= row.fid <= worse:
            share = math.log(worse / row.fid) / math.log(worse / better)
            return float(fewer * (more / fewer) ** share)
    return math.inf


def evaluations_in_words(count: float, rows: Iterable[ImageRow]) -> str:
    """What :func:`equal_evaluations` found, of the rows that it was found among: a number of evaluations in words."""
    of_teacher = [row.nfe for row in rows if row.model == TEACHER and row.nfe]
    if math.isinf(count):
        return f"more than {max(of_teacher):g}"
    return f"fewer than {count:g}" if count <= min(of_teacher) else f"{count:.2g}"


def by_first_features(rows: Iterable[ImageRow]) -> tuple[ImageRow, ...]:
    """The rows that tables and figures are of: those of the features that judge not alone."""
    return tuple(row for row in rows if not row.is_judge)


def by_judge(rows: Iterable[ImageRow]) -> tuple[ImageRow, ...]:
    """The rows by the features that nothing was chosen or trained by; empty if there are none."""
    return tuple(row for row in rows if row.is_judge)


def by_untaught_features(rows: Sequence[ImageRow], headline: Headline) -> tuple[ImageRow, ...]:
    """The rows that the headline is of: by the first features, but by the judge's where its student learned the first.

    Without a judge there are the first alone.
    """
    return (by_judge(rows) if headline.taught else ()) or by_first_features(rows)


def at_least_samples(rows: Iterable[ImageRow]) -> tuple[ImageRow, ...]:
    """Of each cell the row of fewest samples: as many as all cells have."""
    return _one_per_cell(sorted(rows, key=lambda row: row.num_samples), rows)


def at_most_samples(rows: Iterable[ImageRow]) -> tuple[ImageRow, ...]:
    """Of each cell the row of most samples."""
    return _one_per_cell(sorted(rows, key=lambda row: -row.num_samples), rows)


def _one_per_cell(ordered: Iterable[ImageRow], rows: Iterable[ImageRow]) -> tuple[ImageRow, ...]:
    chosen: dict[tuple[object, ...], ImageRow] = {}
    for row in ordered:
        chosen.setdefault((*row.cell, row.features), row)
    return tuple(dict.fromkeys(chosen[(*row.cell, row.features)] for row in rows))


def rank_correlation(rows: Sequence[ImageRow]) -> tuple[float, int] | None:
    """Spearman's correlation of the FIDs by the first features and by the judge, and the number of cells.

    None if there is no judge, or fewer than three cells.
    """
    judged = {(*row.cell, row.num_samples): row.fid for row in by_judge(at_least_samples(rows))}
    pairs = [
        (row.fid, judged[(*row.cell, row.num_samples)])
        for row in by_first_features(at_least_samples(rows))
        if (*row.cell, row.num_samples) in judged
    ]
    if len(pairs) < 3:
        return None
    first, second = ([pair[at] for pair in pairs] for at in (0, 1))
    return float(spearmanr(first, second).statistic), len(pairs)
