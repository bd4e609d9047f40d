"""The signature of a method: what a training step draws and minimises."""

from __future__ import annotations

from typing import Protocol

import torch

Batch = dict[str, torch.Tensor]
"""``x_1``, and whatever else the samples have: ``x_0`` of couplings, ``labels`` of classes; each (batch, …).

``progress`` is the share of the training's steps that are over, in [0, 1], the same for each sample.
"""


class Objective(Protocol):
    """Randomness and loss of one training step."""

    @property
    def needs_images(self) -> bool:
        """Whether :meth:`draw` looks at the images, and not only at their shape."""

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Random numbers for the global batch ``x_1``, drawn on the CPU, one row a sample."""

    def times(self, batch: Batch) -> torch.Tensor:
        """t of each sample, from noise (0) to image (1), (batch,)."""

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of each sample, (batch,).

        A training step calls it with consecutive rows of what was drawn, the share of a process or a part of that;
        where no gradient is wanted any rows may come.
        """
