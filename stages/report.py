"""Collects every measured cell into a table, the headline numbers, figures and one page."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.report.report import write_report
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/few_step.csv, metrics/summary.json and report/ with the figures and index.html."""
    del arguments
    write_report(paths.PROJECT, config, table=paths.FEW_STEP, summary=paths.SUMMARY, folder=paths.REPORT)


if __name__ == "__main__":
    run(main)
