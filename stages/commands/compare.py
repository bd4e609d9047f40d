"""Runs side by side, given as folders, git revisions or experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.report.runs import comparison_table, load_run, load_run_samples
from pipeline.system.errors import StraightflowError
from stages import paths
from stages.commands.places import require_writable


def compare_runs(names: Sequence[str], page: Path | None = None) -> None:
    """Prints the FID of every cell of each run but the first beside that of the first; writes them all on one page.

    Args:
        names: Two runs or more.
        page: An .html file to write; None for none.

    Raises:
        StraightflowError: If one of them is no run, or one on points, or the page cannot be written.
    """
    if page is not None:
        _require_page(page)
    runs = {name: load_run(name, paths.PROJECT) for name in dict.fromkeys(names)}
    first = names[0]
    print("\n\n".join(comparison_table(first, runs[first], name, runs[name]) for name in names[1:]))
    if page is not None:
        # Figures need matplotlib, which a table does not wait for.
        from pipeline.report.runs_page import Run, write_runs_page

        write_runs_page(page, [Run(name, runs[name], load_run_samples(name, runs[name])) for name in names])
        print(f"\npage: {page}")


def _require_page(page: Path) -> None:
    from pipeline.report.runs_page import require_replaceable_page

    if page.suffix.lower() != ".html":
        raise StraightflowError(
            expected="a name that ends in .html for --page", found=repr(str(page)), mend="name an .html file"
        )
    require_writable(page, "--page")
    require_replaceable_page(page)
