"""Drift: how much worse the couplings drawn from a student are than those that it learned."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.couplings import GateConfig
from pipeline.metrics.image_row import ImageRow, differences, fid_ratio
from pipeline.metrics.row import Row
from pipeline.metrics.uncertainty import Estimate
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.typed_content import read_typed


@dataclass(frozen=True)
class _Measured:
    """What is needed of ``couplings/<name>/quality.json``."""

    rows: tuple[ImageRow, ...]


@dataclass(frozen=True)
class Drift:
    """A round's drift, by the features that things may be chosen by.

    Attributes:
        couplings: The cell of the couplings drawn from a student.
        learned: The cell of those that the student learned; the two compare.
        ratio: FID of the first ÷ that of the second; None if a spread is unknown.
    """

    couplings: ImageRow
    learned: ImageRow
    ratio: Estimate | None

    def exceeds(self, limit: float) -> bool:
        """Whether the whole 95 % interval lies beyond ``1 + limit``; an unknown one does not."""
        return self.ratio is not None and self.ratio.low > 1 + limit


def measure_drift(rows: Sequence[Row], learned: Sequence[Row]) -> Drift | None:
    """Drift by the cells of most samples that compare; None if none do, as for points, which have no FID.

    Args:
        rows: Cells of the couplings in question.
        learned: Cells of those that their source learned.
    """
    pairs = [pair for pair in itertools.product(_chosen_by(rows), _chosen_by(learned)) if not differences(*pair)]
    if not pairs:
        return None
    couplings, before = max(pairs, key=lambda pair: pair[0].num_samples)
    return Drift(couplings, before, fid_ratio(couplings, before))


def _chosen_by(rows: Sequence[Row]) -> list[ImageRow]:
    """The cells by features that things may be chosen by."""
    return [row for row in rows if isinstance(row, ImageRow) and not row.is_judge]


def require_little_drift(name: str, rows: Sequence[Row], learned: Path, limits: GateConfig) -> None:
    """Refuses couplings that are worse than those that their source learned: a round that makes models worse.

    Args:
        name: Of the couplings in question.
        rows: Their cells.
        learned: ``quality.json`` of those that their source learned.
        limits: How much worse they may be, and which may be worse.

    Raises:
        StraightflowError: With both FIDs, if they are and are not allowed by name, or if ``learned`` cannot be read.
    """
    if name in limits.drift_allowed or not any(isinstance(row, ImageRow) for row in rows):
        return
    try:
        earlier = read_typed(learned, _Measured).rows
    except (OSError, ValueError) as error:
        raise StraightflowError(
            expected=f"the measured quality of the couplings that the source of {name} learned, in {learned}",
            found=one_line(error),
            mend="run `dvc repro`, which measures them first",
        ) from error
    drift = measure_drift(rows, earlier)
    if drift is not None and drift.ratio is not None and drift.exceeds(limits.max_drift):
        ratio, couplings, before = drift.ratio, drift.couplings, drift.learned
        raise StraightflowError(
            expected=f"couplings {name} of at most {1 + limits.max_drift:g} × the FID of those their source learned",
            found=f"FID {couplings.fid:.3g} ÷ {before.fid:.3g} = {ratio.value:.2f}, 95 % interval {ratio.low:.2f} to "
            f"{ratio.high:.2f}, {couplings.features} features, {couplings.num_samples:,} samples on both sides",
            mend="a round from them makes models worse: take more steps of their source or a better source, mix in "
            f"pairs from real images (image_to_noise), leave the round out, or put {name} under gate.drift_allowed",
        )
