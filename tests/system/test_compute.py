from __future__ import annotations

from pipeline.system.compute import Compute, total


def test_compute_adds_up_and_counts_backward_as_two_forward() -> None:
    one, other = Compute(10, 4, 100, 0.5), Compute(1, 1, 7, 0.25)
    assert total([one, other]) == one + other == Compute(11, 5, 107, 0.75)
    assert (one + other).forward_equivalents == 11 + 2 * 5
    assert total([]) == Compute(0, 0, 0, 0.0)
