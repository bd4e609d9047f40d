"""What is trained on: samples addressed by index, and the division of their random numbers over steps and ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.config.training import TrainingConfig
from pipeline.data.order import BatchOrder
from pipeline.flow.noise import step_generator
from pipeline.methods.objective import Batch, Objective


class TrainingSet(Protocol):
    """Samples addressed by index."""

    def __len__(self) -> int:
        """Number of samples."""

    def load(self, indices: np.ndarray) -> Batch:
        """CPU tensors of these samples, including ``x_1``."""

    def locate(self, index: int) -> str:
        """Where a sample is kept, for messages."""


@dataclass(frozen=True)
class Subset:
    """The samples of ``items`` at ``indices``, (num,), in that order."""

    items: TrainingSet
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, indices: np.ndarray) -> Batch:
        """Samples by their index within the subset."""
        return self.items.load(self.indices[indices])

    def locate(self, index: int) -> str:
        """Where a sample of the subset is kept."""
        return self.items.locate(int(self.indices[index]))


class StepBatches(Dataset[Batch]):
    """Item k is this process's share of step k's batch with its random numbers.

    Random numbers are drawn for the global batch and then divided, so that a step is the same for any
    number of processes, and a resumed run needs no generator state.
    """

    def __init__(self, items: TrainingSet, objective: Objective, config: TrainingConfig, rank: int, ranks: int) -> None:
        self._items, self._objective, self._seed = items, objective, config.seed
        self._order = BatchOrder(config.seed, config.batch_size, len(items))
        share = config.batch_size // ranks
        self._rows = slice(rank * share, (rank + 1) * share)
        self._num_steps, self._batch_size = config.num_steps, config.batch_size

    def __len__(self) -> int:
        return self._num_steps

    def __getitem__(self, step: int) -> Batch:
        generator = step_generator(self._seed, step)
        groups = whole_groups(self._rows, self._objective.group_size, self._batch_size)
        samples = with_progress(self._items.load(self._order(step)[groups]), step / self._num_steps)
        like_global = torch.empty(self._batch_size, *samples["x_1"].shape[1:], device="meta")
        drawn = {name: values[groups] for name, values in self._objective.draw(like_global, generator).items()}
        own = slice(self._rows.start - groups.start, self._rows.stop - groups.start)
        return {name: _alone(values[own]) for name, values in self._objective.arrange(samples | drawn).items()}

    def index(self, step: int, row: int) -> int:
        """Index of the sample in this process's row ``row`` of step ``step``."""
        return int(self._order(step)[self._rows][row])


def whole_groups(rows: slice, group_size: int, batch_size: int) -> slice:
    """The rows of all groups of ``group_size`` consecutive rows of a batch that have a row among ``rows``."""
    start, stop = rows.start // group_size * group_size, -(-rows.stop // group_size) * group_size
    return slice(start, min(stop, batch_size))


def with_progress(samples: Batch, progress: float) -> Batch:
    """These samples with ``progress``, the share of the training's steps that are over, in [0, 1]."""
    return samples | {"progress": torch.full((len(samples["x_1"]),), progress)}


def _alone(values: torch.Tensor) -> torch.Tensor:
    """The same values in a storage of their own: sending a view to another process sends its whole storage."""
    return values if values.untyped_storage().nbytes() == values.nbytes else values.clone()


def micro_batches(batch: Batch, count: int) -> Iterator[Batch]:
    """Divides a batch into ``count`` equal ones, in order."""
    pieces = {name: values.chunk(count) for name, values in batch.items()}
    for index in range(count):
        yield {name: chunks[index] for name, chunks in pieces.items()}


class Mirrored:
    """Twice the images of ``items``: 2i is image i, 2i + 1 is image i flipped left to right.

    An epoch then visits each orientation once, in an order that the epoch's seed shuffles; noise, states and image are
    flipped together, and labels stay as they are.
    """

    def __init__(self, items: TrainingSet) -> None:
        self._items = items

    def __len__(self) -> int:
        return 2 * len(self._items)

    def load(self, indices: np.ndarray) -> Batch:
        """Images of ``items``, the odd ones flipped."""
        batch = self._items.load(indices // 2)
        flipped = torch.from_numpy(indices % 2 == 1)
        for name in ("x_0", "x_1", "states"):
            if name in batch:
                batch[name][flipped] = batch[name][flipped].flip(-1)
        return batch

    def locate(self, index: int) -> str:
        """Where the sample is kept, and whether it was flipped."""
        return self._items.locate(index // 2) + (" (mirrored)" if index % 2 else "")
