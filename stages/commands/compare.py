"""Two runs side by side, given as folders, git revisions or experiments."""

from __future__ import annotations

from pipeline.report.runs import comparison_table, load_run
from stages import paths


def compare_runs(a: str, b: str) -> None:
    """Prints the FID of every cell in both.

    Raises:
        StraightflowError: If one of them is no run, or one on points.
    """
    print(comparison_table(a, load_run(a, paths.PROJECT), b, load_run(b, paths.PROJECT)))
