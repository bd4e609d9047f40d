"""Folders of a run that evaluation reads from and caches in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MeasuringFolders:
    """Folders of one run.

    Attributes:
        data: The prepared data set.
        classifier: The network behind ``classifier`` features.
        references: Cache of statistics of real images, by fingerprint.
        cells: Cache of measured cells, by fingerprint.
    """

    data: Path
    classifier: Path
    references: Path
    cells: Path
