"""Table of values for the terminal: a row for every model and solver, a column for every step count."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.metrics.row import ADAPTIVE


def lines_by_steps(cells: Mapping[tuple[str, str, int | None], str]) -> list[str]:
    """Lines of a table of fixed width: a row for every model and solver, a column for every step count.

    Args:
        cells: Text by (model, solver, number of steps), the last None for an adaptive solver.
    """
    counts: list[int | None] = [*sorted({count for _, _, count in cells if count is not None})]
    if any(count is None for _, _, count in cells):
        counts.append(None)
    series = list(dict.fromkeys((model, solver) for model, solver, _ in cells))
    lines = [("model", "solver", *(ADAPTIVE if count is None else str(count) for count in counts))]
    lines += [
        (model, solver, *(cells.get((model, solver, count), "-") for count in counts)) for model, solver in series
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(counts) + 2)]
    head, *body = ["  ".join(_align(cell, width, at) for at, (cell, width) in enumerate(zip(line, widths, strict=True)))
                   for line in lines]  # fmt: skip
    return [head, "-" * len(head), *body]


def steps_in_words(num_steps: int | None) -> str:
    """For example ``4 steps``; ``adaptive`` for None."""
    if num_steps is None:
        return ADAPTIVE
    return f"{num_steps} step{'s' if num_steps > 1 else ''}"


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)
