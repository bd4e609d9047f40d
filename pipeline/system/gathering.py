"""What all processes have made, brought to the one that uses it."""

from __future__ import annotations

import itertools
from typing import TypeVar

from torch import distributed

Item = TypeVar("Item")


def gather_to_main(own: list[Item]) -> list[Item]:
    """The items of all processes in their order, on the main one; none on the others, which hold no copy of all.

    Every process must call it. Items are pickled.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return own
    if distributed.get_rank() != 0:
        distributed.gather_object(own)
        return []
    gathered: list[list[Item]] = [[] for _ in range(distributed.get_world_size())]
    distributed.gather_object(own, gathered)
    return list(itertools.chain.from_iterable(gathered))
