"""What the run found: quality of every model at every step count, and where the report is."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.metrics.point_row import PointRow
from pipeline.report.images.few_step_csv import read_few_step_csv
from pipeline.report.images.summary import headline, text_table
from pipeline.report.points.text_table import text_table_of_points
from pipeline.report.reading import load_csv
from stages import paths


def show_results(config: Config) -> None:
    """Prints metrics/few_step.csv as a table.

    Raises:
        StraightflowError: If it is missing or holds something else.
    """
    if config.data.is_points:
        cells = load_csv(paths.FEW_STEP, PointRow)
        print(f"{text_table_of_points(cells)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")
        return
    rows = read_few_step_csv(paths.FEW_STEP)
    print(text_table(rows))
    print(f"\n{headline(rows, config.distill.couplings)}\n\nreport: {(paths.REPORT / 'index.html').resolve()}")
