"""The test of an exported file: it draws the images that the student draws."""

from __future__ import annotations

import torch

from pipeline.models.export.formats import Drawing
from pipeline.models.export.student import ExportableStudent
from pipeline.system.errors import StraightflowError

TOLERANCE = 1e-3
"""Largest difference of a value of an image, of a range of 2; an eighth of one of 256 grey levels."""
FREE_BATCHES = (1, 3)


def require_same_images(student: ExportableStudent, draw: Drawing, batch: int | None) -> float:
    """Compares images of an exported student with those of the student itself.

    Args:
        student: As saved.
        draw: What was exported.
        batch: That it takes; None for any.

    Returns:
        The largest difference of a value.

    Raises:
        StraightflowError: If it is more than ``TOLERANCE``.
    """
    batches = FREE_BATCHES if batch is None else (batch,)
    difference = max(_difference(student, draw, count) for count in batches)
    if not difference <= TOLERANCE:  # nor is NaN
        raise StraightflowError(
            expected=f"images of the exported file that differ from the student's by at most {TOLERANCE}",
            found=f"a difference of {difference:.1e}",
            mend="export with --format torch or other versions of the packages; nothing was written",
        )
    return difference


@torch.inference_mode()
def _difference(student: ExportableStudent, draw: Drawing, batch: int) -> float:
    inputs = student.inputs(batch)
    return float((draw(*inputs) - student.steps(*inputs)).abs().max())
