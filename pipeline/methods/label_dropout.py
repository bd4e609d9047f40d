"""Label dropout: how a class-conditional model also learns the class that stands for none, which guidance needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.methods.objective import Batch, Objective


@dataclass(frozen=True)
class LabelDropout(Objective):
    """Another objective, each label replaced with a probability by the null class (Ho & Salimans 2022, alg. 1).

    Which labels are replaced is drawn with the step's other random numbers, after those of the objective, so that these
    are the same with and without it.

    Attributes:
        objective: What is minimised.
        share: Probability p_uncond, in (0, 1).
        null_class: Class that stands for none.
    """

    objective: Objective
    share: float
    null_class: int

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """What the objective draws, and ``dropped``, whether the label of a row is replaced, bool, (batch,)."""
        drawn = self.objective.draw(x_1, generator)
        return drawn | {"dropped": torch.rand(len(x_1), generator=generator) < self.share}

    @property
    def group_size(self) -> int:
        """The objective's."""
        return self.objective.group_size

    def arrange(self, batch: Batch) -> Batch:
        """Replaces the labels."""
        labels = batch["labels"].masked_fill(batch["dropped"], self.null_class)
        return self.objective.arrange(batch | {"labels": labels})

    def times(self, batch: Batch) -> torch.Tensor:
        """The objective's."""
        return self.objective.times(batch)

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The objective's, (batch,)."""
        return self.objective.loss(network, batch)
