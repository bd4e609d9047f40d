"""The results of a run: quality of every model at every step count, and where the report is."""

from __future__ import annotations

import sys

from pipeline.config.graph import Config
from pipeline.report.publishing.lineage import lineage, require_one_run
from pipeline.report.report import describe_run
from pipeline.system.errors import StraightflowError
from pipeline.system.yaml_text import read_yaml
from stages import paths
from stages.commands.repair_locks import LOCK_FILE
from stages.commands.run_record import read_run_record
from stages.entry import PARAMS


def show_results(config: Config) -> None:
    """Prints metrics/few_step.csv as a table, and a note if by DVC's record it is not of the configured run.

    Raises:
        StraightflowError: If it is missing or holds something else.
    """
    print(f"{describe_run(config, paths.FEW_STEP)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")
    if (paths.PROJECT / LOCK_FILE).is_file():
        try:
            _require_configured_run(config)
        except StraightflowError as error:
            print(f"note: this may be of another run: {error.found}; `dvc repro` brings it up to date", file=sys.stderr)


def _require_configured_run(config: Config) -> None:
    """Raises StraightflowError unless all that was measured comes from one run of the settings of today."""
    recorded = read_run_record(paths.PROJECT)
    records = [record for model in config.evaluate.models for record in lineage(recorded, f"evaluate@{model}")]
    require_one_run({record.stage: record for record in records}.values(), read_yaml(PARAMS))
