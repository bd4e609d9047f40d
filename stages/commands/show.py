"""The results of a run: quality of every model at every step count, and where the report is."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.report.report import describe_run
from stages import paths


def show_results(config: Config) -> None:
    """Prints metrics/few_step.csv as a table.

    Raises:
        StraightflowError: If it is missing or holds something else.
    """
    print(f"{describe_run(config, paths.FEW_STEP)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")
