"""Horizontal flips: noise and image of a pair together, so that a mirrored pair is a coupling too."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.objectives import Batch
from pipeline.training_set import TrainingSet


class Mirrored:
    """Twice the samples of ``items``: 2i is sample i, 2i + 1 is sample i flipped left to right.

    An epoch then visits each orientation once, in an order that the epoch's seed shuffles; noise and images, being
    four-dimensional, are flipped together, and labels stay as they are.
    """

    def __init__(self, items: TrainingSet) -> None:
        self._items = items

    def __len__(self) -> int:
        return 2 * len(self._items)

    def load(self, indices: np.ndarray) -> Batch:
        """Samples of ``items``, the odd ones flipped."""
        batch = self._items.load(indices // 2)
        flipped = torch.from_numpy(indices % 2 == 1)
        for values in batch.values():
            if values.ndim == 4:
                values[flipped] = values[flipped].flip(-1)
        return batch

    def locate(self, index: int) -> str:
        """Where the sample is kept, and whether it was flipped."""
        return self._items.locate(index // 2) + (" (mirrored)" if index % 2 else "")
