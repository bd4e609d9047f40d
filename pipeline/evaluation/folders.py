"""Folders of a run that evaluation reads from and caches in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.system.code import NO_CODE


@dataclass(frozen=True)
class MeasuringFolders:
    """Folders of one run.

    Attributes:
        data: The prepared data set.
        classifier: The network behind ``classifier`` features.
        references: Cache of statistics of real images, by fingerprint.
        cells: Cache of measured cells, by fingerprint.
        reference_code: What measures real images, see :func:`pipeline.system.code.reached_code`; called when it is
            needed. It is part of the fingerprint of references.
    """

    data: Path
    classifier: Path
    references: Path
    cells: Path
    reference_code: Callable[[], Mapping[str, str]] = lambda: NO_CODE
