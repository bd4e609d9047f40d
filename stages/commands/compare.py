"""Compares two runs, given as folders, git revisions or experiments: ``python -m stages.compare HEAD~1 HEAD``."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config
from pipeline.report.runs import comparison_table, load_run
from pipeline.system.errors import StraightflowError
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Prints the FID of every cell in both."""
    del config
    if len(arguments) != 2:
        raise StraightflowError(
            expected="two arguments, each a folder, a git revision or the name of an experiment",
            found=" ".join(arguments) or "none",
            mend="for example python -m stages.compare HEAD~1 HEAD",
        )
    a, b = arguments
    print(comparison_table(a, load_run(a, Path()), b, load_run(b, Path())))


if __name__ == "__main__":
    run(main)
