from __future__ import annotations

import pytest

from pipeline.system.blocks import batches_of, row_blocks


@pytest.mark.parametrize(
    ("num_rows", "row_bytes", "block_bytes", "lengths"),
    [(7, 10, 30, [3, 3, 1]), (7, 10, 1000, [7]), (3, 10, 1, [1, 1, 1]), (2, 0, 1, [1, 1]), (0, 10, 10, [])],
)
def test_blocks_are_all_rows_in_order_and_cost_no_more_than_they_may(num_rows, row_bytes, block_bytes, lengths) -> None:
    blocks = list(row_blocks(num_rows, row_bytes, block_bytes=block_bytes))
    assert [block.stop - block.start for block in blocks] == lengths
    assert [row for block in blocks for row in range(num_rows)[block]] == list(range(num_rows))


def test_batches_are_all_indices_in_order_and_only_the_last_is_smaller() -> None:
    assert batches_of(range(3, 10), 3) == [range(3, 6), range(6, 9), range(9, 10)]
    assert batches_of(range(2), 5) == [range(2)]
    assert batches_of(range(4, 4), 5) == []
