"""Prints what the run found: quality of every model at every step count, and where the report is."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.report.report import describe_run
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Reads metrics/few_step.csv."""
    del arguments
    print(f"{describe_run(config, paths.FEW_STEP)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")


if __name__ == "__main__":
    run(main)
