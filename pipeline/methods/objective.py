"""The signature of a method: what a training step draws and minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch

Batch = dict[str, torch.Tensor]
"""``x_1``, and whatever else the samples have: ``x_0`` of couplings, ``labels`` of classes; each (batch, …).

``progress`` is the share of the training's steps that are over, in [0, 1], the same for each sample.
"""


class Objective(ABC):
    """Randomness and loss of one training step."""

    @abstractmethod
    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Random numbers for the global batch, drawn on the CPU, one row a sample.

        Args:
            x_1: Read for its shape alone, (batch, …).
            generator: Source of randomness.
        """

    @property
    def group_size(self) -> int:
        """Consecutive rows of the global batch that :meth:`arrange` looks at together; 1 if at each alone."""
        return 1

    def arrange(self, batch: Batch) -> Batch:
        """What was drawn, arranged by the images that it goes with, on the CPU.

        Args:
            batch: Whole groups of rows, the first of them at a multiple of :attr:`group_size`.
        """
        return batch

    @abstractmethod
    def times(self, batch: Batch) -> torch.Tensor:
        """t of each sample, from noise (0) to image (1), (batch,)."""

    @abstractmethod
    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of each sample, (batch,).

        A training step calls it with consecutive rows of what was drawn, the share of a process or a part of that;
        where no gradient is wanted any rows may come.
        """

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Copies of what earlier steps left for later ones, for a checkpoint; empty if the steps need nothing.

        Every process has the same.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:  # noqa: B027
        """Goes on from what :meth:`state_dict` returned."""
