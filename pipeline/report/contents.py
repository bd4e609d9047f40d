"""What the report of a run consists of, before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.metrics.row import Row
from pipeline.report.html import Picture


@dataclass(frozen=True)
class ReportContents:
    """The report of one run.

    Attributes:
        rows: Every measured cell: the couplings' first, then each model's in order.
        summary: The few numbers that the run is judged by.
        pictures: The figures by file name.
        page: The whole page as HTML.
    """

    rows: tuple[Row, ...]
    summary: Mapping[str, float]
    pictures: Mapping[str, Picture]
    page: str
