"""Ratios of FIDs, and whether the difference is significant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.config.graph import DISTILLED, TEACHER
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.row import COUPLINGS_PREFIX

SPREADS = 2.0
"""A difference of fewer standard deviations than this is not significant."""


@dataclass(frozen=True)
class Comparison:
    """Ratio of two FIDs.

    Attributes:
        key: Name in ``metrics/summary.json``.
        words: What is compared.
        numerator: The cell in question.
        denominator: The cell it is compared with.
    """

    key: str
    words: str
    numerator: ImageRow
    denominator: ImageRow

    @property
    def ratio(self) -> float:
        """FID over FID; below 1 where the numerator is better."""
        return self.numerator.fid / self.denominator.fid

    @property
    def is_significant(self) -> bool:
        """Whether the FIDs differ by more than ``SPREADS`` standard deviations of their difference."""
        spread = math.hypot(self.numerator.fid_std or 0.0, self.denominator.fid_std or 0.0)
        return abs(self.numerator.fid - self.denominator.fid) > SPREADS * spread

    @property
    def verdict(self) -> str:
        """The ratio in words, with a note if the difference is not significant."""
        return f"{self.ratio:.2f}" if self.is_significant else f"{self.ratio:.2f}, within the spread"


def compare(rows: Sequence[ImageRow], distilled_from: str) -> tuple[Comparison, ...]:
    """The headline comparisons of a run, without those whose cells were not measured.

    Args:
        rows: Every measured cell.
        distilled_from: Round whose couplings the distilled model learned.
    """
    distilled, couplings, ddim = headline_cells(rows, distilled_from)
    rounds = [row.model.removeprefix(COUPLINGS_PREFIX) for row in rows if row.is_couplings]
    wanted = [
        ("distilled_1_over_teacher_ddim_16", "distilled at 1 step ÷ teacher at 16 DDIM steps", distilled, ddim),
        ("distilled_1_over_couplings", "distilled at 1 step ÷ the couplings it learned from", distilled, couplings),
        *(
            (
                f"{name}_4_over_teacher_ddim_16",
                f"{name} at 4 steps ÷ teacher at 16 DDIM steps",
                _find(rows, name, 4, "euler"),
                ddim,
            )
            for name in rounds
        ),
        (
            "teacher_unipc_16_over_ddim_16",
            "teacher at 16 UniPC steps ÷ teacher at 16 DDIM steps",
            _find(rows, TEACHER, 16, "unipc"),
            ddim,
        ),
    ]
    return tuple(
        Comparison(key, words, numerator, denominator)
        for key, words, numerator, denominator in wanted
        if numerator is not None and denominator is not None and denominator.fid > 0
    )


def headline_cells(
    rows: Sequence[ImageRow], distilled_from: str
) -> tuple[ImageRow | None, ImageRow | None, ImageRow | None]:
    """The distilled model at one step, the couplings it learned, the teacher at 16 DDIM steps; None if not measured."""
    couplings = next((row for row in rows if row.model == COUPLINGS_PREFIX + distilled_from), None)
    return _find(rows, DISTILLED, 1, "euler"), couplings, _find(rows, TEACHER, 16, "ddim")


def _find(rows: Iterable[ImageRow], model: str, num_steps: int, solver: str) -> ImageRow | None:
    wanted = (model, solver, num_steps)
    return next((row for row in rows if row.cell == wanted), None)
