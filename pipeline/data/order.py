"""Which samples a training step sees: pure functions of (seed, step), the same for any process count."""

from __future__ import annotations

import numpy as np


def epoch_order(seed: int, epoch: int, num_items: int) -> np.ndarray:
    """The permutation of ``num_items`` indices in which an epoch visits them."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    return generator.permutation(num_items)


class EndlessOrder:
    """The endless concatenation of epochs, each in an order of its own.

    Args:
        seed: Seed of the permutations.
        num_items: Samples in the set.
    """

    def __init__(self, seed: int, num_items: int) -> None:
        self._seed, self._num_items = seed, num_items
        self._orders: dict[int, np.ndarray] = {}

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Indices of the samples at these positions from 0, (len(positions),)."""
        epochs = positions // self._num_items
        needed = [int(epoch) for epoch in np.unique(epochs)]
        self._orders = {
            epoch: self._orders[epoch] if epoch in self._orders else epoch_order(self._seed, epoch, self._num_items)
            for epoch in needed
        }
        indices = np.empty(len(positions), dtype=np.int64)
        for epoch in needed:
            chosen = epochs == epoch
            indices[chosen] = self._orders[epoch][positions[chosen] % self._num_items]
        return indices


class BatchOrder:
    """Indices of each step's global batch in :class:`EndlessOrder`.

    Args:
        seed: Seed of the permutations.
        batch_size: Samples per step over all processes.
        num_items: Samples in the set.
    """

    def __init__(self, seed: int, batch_size: int, num_items: int) -> None:
        self._order, self._batch_size = EndlessOrder(seed, num_items), batch_size

    def __call__(self, step: int) -> np.ndarray:
        """Indices of the global batch at ``step``, (batch_size,)."""
        return self._order(np.arange(step * self._batch_size, (step + 1) * self._batch_size))


def evenly_spaced(num_items: int, count: int) -> np.ndarray:
    """Indices of ``count`` items, rising, including the first and the last; of all items if there are fewer."""
    return np.linspace(0, num_items - 1, min(count, num_items)).round().astype(int)
