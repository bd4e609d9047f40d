"""What a stage computed: network calls, FLOPs and time, as numbers that add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Compute:
    """Compute of a stage, over all its processes and all stretches of an interrupted run.

    Attributes:
        samples_forward: Samples that went forward through a network: one sample through one call counts 1.
        samples_backward: Samples whose gradient went backward through it.
        flops: Floating-point operations of both; a multiplication and an addition are two. Matrix products,
            convolutions and attention are counted, all else is not.
        seconds: Wall seconds of the work on the device, summed over processes.
    """

    samples_forward: Count
    samples_backward: Count
    flops: Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def __add__(self, other: Compute) -> Compute:
        """Both together."""
        return Compute(
            self.samples_forward + other.samples_forward,
            self.samples_backward + other.samples_backward,
            self.flops + other.flops,
            self.seconds + other.seconds,
        )

    @property
    def forward_equivalents(self) -> int:
        """Samples forward, and those backward twice, since a backward pass costs about two forward passes."""
        return self.samples_forward + 2 * self.samples_backward


NOTHING = Compute(0, 0, 0, 0.0)


def total(parts: Iterable[Compute]) -> Compute:
    """Their sum; nothing for none."""
    return sum(parts, NOTHING)
