"""Shares of rows: how many there are in any part of a batch."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from pipeline.methods.shares import most_outside, rows_outside, spread_share

SHARES = [Fraction(text) for text in ("0", "0.29", "0.3", "0.5", "0.75", "1")]


@pytest.mark.parametrize("share", SHARES)
def test_consecutive_rows_have_their_share_to_less_than_one(share: Fraction) -> None:
    inside = spread_share(100, share)
    assert int(inside.sum()) == int(100 * share)
    for size in range(1, 100):
        for start in range(100 - size):
            count = int(inside[start : start + size].sum())
            assert abs(count - size * share) < 1
            assert size - count <= most_outside(size, share)


def test_without_gradients_all_rows_may_be_outside() -> None:
    with torch.no_grad():
        assert most_outside(7, Fraction(1, 2)) == 7
    assert most_outside(7, Fraction(1, 2)) == 4


def test_rows_outside_are_all_there() -> None:
    inside = torch.tensor([True, False, True, True, False, False])
    assert rows_outside(inside, 3).tolist() == [1, 4, 5]
    assert set(rows_outside(inside, 4).tolist()) > {1, 4, 5}
    assert len(rows_outside(inside, 0)) == 0
