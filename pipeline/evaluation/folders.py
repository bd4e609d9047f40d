"""Where a run keeps what its images are measured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MeasuringFolders:
    """Folders of one run.

    Attributes:
        data: The prepared data set.
        classifier: The network behind ``classifier`` features.
        references: Statistics of real images, kept by fingerprint.
        cells: Measured cells, kept by fingerprint.
    """

    data: Path
    classifier: Path
    references: Path
    cells: Path
