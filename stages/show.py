"""Prints what the run found: quality of every model at every step count, and where the report is."""

from __future__ import annotations

from pipeline.config import Config
from pipeline.report.few_step_csv import read_few_step_csv
from pipeline.report.summary import headline, text_table
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Reads metrics/few_step.csv."""
    del arguments
    if config.data.is_points:
        print(f"{paths.FEW_STEP.read_text()}\nreport: {(paths.REPORT / 'index.html').resolve()}")
        return
    rows = read_few_step_csv(paths.FEW_STEP)
    print(text_table(rows))
    print(f"\n{headline(rows, config.distill.couplings)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")


if __name__ == "__main__":
    run(main)
