"""Counts network calls as they happen, in samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class NetworkCalls:
    """Samples that this process sent through a network.

    Attributes:
        forward: Through its forward pass.
        backward: Of these, those whose gradient came back to its output.
        by_guide: Of those forward, those that went through the weaker network that guides it instead.
    """

    forward: int = 0
    backward: int = 0
    by_guide: int = 0

    def __sub__(self, earlier: NetworkCalls) -> NetworkCalls:
        """What came after ``earlier``."""
        return NetworkCalls(
            self.forward - earlier.forward, self.backward - earlier.backward, self.by_guide - earlier.by_guide
        )

    def copy(self) -> NetworkCalls:
        """The counts so far."""
        return NetworkCalls(self.forward, self.backward, self.by_guide)


@dataclass
class CodingCalls:
    """Samples that this process sent through an autoencoder.

    Attributes:
        encoded: Images to latents.
        decoded: Latents to images.
    """

    encoded: int = 0
    decoded: int = 0

    def __sub__(self, earlier: CodingCalls) -> CodingCalls:
        """What came after ``earlier``."""
        return CodingCalls(self.encoded - earlier.encoded, self.decoded - earlier.decoded)

    def copy(self) -> CodingCalls:
        """The counts so far."""
        return CodingCalls(self.encoded, self.decoded)


class CountedNetwork(torch.nn.Module):
    """A network that counts the samples of its calls. Counts are integers of the host: no device is waited for.

    It goes around whatever wraps the network for compilation or for several processes, so that it changes neither.

    Args:
        network: Called as networks of diffusers are; returns an object with ``sample``, a row per sample.
        calls: Where it counts.
    """

    def __init__(self, network: torch.nn.Module, calls: NetworkCalls) -> None:
        super().__init__()
        self.network, self.calls = network, calls

    def forward(self, x: torch.Tensor, *others: Any, **named: Any) -> Any:
        """What the network returns for ``x`` (batch, …)."""
        self.calls.forward += len(x)
        output = self.network(x, *others, **named)
        if output.sample.requires_grad:
            output.sample.register_hook(self._count_backward)
        return output

    def _count_backward(self, gradient: torch.Tensor) -> None:
        self.calls.backward += len(gradient)


class CountedGuide(CountedNetwork):
    """The weaker network that guides another one, counted with its calls and as its guide's."""

    def forward(self, x: torch.Tensor, *others: Any, **named: Any) -> Any:
        """What the network returns for ``x`` (batch, …)."""
        self.calls.by_guide += len(x)
        return super().forward(x, *others, **named)
