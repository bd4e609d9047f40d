"""Results that a later call of a network does not write over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch


class OwnOutputs(torch.nn.Module):
    """A network whose results are copied: a CUDA graph writes those of every call into the same memory.

    Solvers keep earlier evaluations, which the next call would replace.

    Args:
        network: Returns an object with ``sample``.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, *others: Any, **named: Any) -> SimpleNamespace:
        """What the network returns, in memory of its own."""
        return SimpleNamespace(sample=self.network(x, *others, **named).sample.clone())
