"""Prints what the run found: FID of every model at every step count, and where the report is."""

from __future__ import annotations

import json

from pipeline.config import Config
from pipeline.errors import StraightflowError
from pipeline.report.results import read_few_step_csv
from pipeline.report.summary import headline, text_table
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Reads metrics/few_step.csv and metrics/summary.json."""
    del config, arguments
    try:
        numbers = json.loads(paths.SUMMARY.read_text())
    except (OSError, ValueError) as error:
        raise StraightflowError(
            expected=f"the run's summary in {paths.SUMMARY}", found=str(error), mend="run `dvc repro report`"
        ) from error
    print(text_table(read_few_step_csv(paths.FEW_STEP)))
    print(f"\n{headline(numbers)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")


if __name__ == "__main__":
    run(main)
