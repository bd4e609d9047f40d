"""Rows and indices taken some at a time, so that the memory of a computation does not grow with how much there is."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_BYTES = 2**28
"""What a computation may hold beside its inputs and results: 256 MiB."""


def rows_at_once(row_bytes: int, *, block_bytes: int = BLOCK_BYTES) -> int:
    """Most rows of a block, at least one; arguments as for :func:`row_blocks`."""
    return max(1, block_bytes // max(1, row_bytes))


def row_blocks(num_rows: int, row_bytes: int, *, block_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
    """Consecutive slices of ``num_rows`` rows that together are all of them, at least a row each.

    Args:
        num_rows: Rows in all.
        row_bytes: What one costs, with all that is computed of it.
        block_bytes: Most that the rows of a slice may cost.
    """
    length = rows_at_once(row_bytes, block_bytes=block_bytes)
    for start in range(0, num_rows, length):
        yield slice(start, min(start + length, num_rows))


def batches_of(indices: range, batch_size: int) -> list[range]:
    """Consecutive batches of consecutive indices; only the last may be smaller than ``batch_size``."""
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
