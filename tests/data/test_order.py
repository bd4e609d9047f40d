from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.order import evenly_spaced


@pytest.mark.parametrize(("num_items", "count"), [(10, 4), (100, 64), (7, 7), (1000, 2), (65, 64)])
def test_as_many_as_asked_for_from_the_first_to_the_last_at_about_equal_distances(num_items: int, count: int) -> None:
    chosen = evenly_spaced(num_items, count)
    assert (len(chosen), chosen[0], chosen[-1]) == (count, 0, num_items - 1)
    distances = np.diff(chosen)
    assert distances.min() >= 1
    assert distances.max() - distances.min() <= 1


def test_of_fewer_items_it_takes_all() -> None:
    assert evenly_spaced(3, 8).tolist() == [0, 1, 2]
    assert evenly_spaced(0, 8).tolist() == []
    assert evenly_spaced(9, 1).tolist() == [0]
