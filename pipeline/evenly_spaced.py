"""A few of many, spread over all of them."""

from __future__ import annotations

import numpy as np


def evenly_spaced(num_items: int, count: int) -> np.ndarray:
    """Indices of ``count`` of so many items, rising, the first and the last among them; of all if there are fewer."""
    return np.linspace(0, num_items - 1, min(count, num_items)).round().astype(int)
