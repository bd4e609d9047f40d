"""FLOPs of a network for one sample, counted on tensors without content: nothing is computed, no memory is taken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.models.counted import NetworkCalls
from pipeline.system.compute import Compute


@dataclass(frozen=True)
class FlopsPerSample:
    """FLOPs for one sample, counted as in :class:`pipeline.system.compute.Compute`.

    Attributes:
        forward: Of the forward pass.
        backward: Of the backward pass to every weight, with what gradient checkpointing computes again; 0 for a network
            without weights, and where samples are drawn alone.
        guide: Of the forward pass of the weaker network that guides it; 0 where there is none.
    """

    forward: int
    backward: int
    guide: int = 0

    def compute(self, calls: NetworkCalls, seconds: float) -> Compute:
        """What these calls are, with the seconds that they took."""
        own = calls.forward - calls.by_guide
        flops = own * self.forward + calls.by_guide * self.guide + calls.backward * self.backward
        return Compute(calls.forward, calls.backward, flops, seconds)


def flops_per_sample(
    network: torch.nn.Module, shape: tuple[int, ...], num_classes: int | None, *, two_times: bool = False
) -> FlopsPerSample:
    """Counts one sample, once for a network and a shape; the same on every device.

    Args:
        network: Not wrapped for several processes; it is left as it is.
        shape: Of one sample.
        num_classes: Classes that it is conditioned on; None for an unconditional network.
        two_times: Whether it takes the time that a step ends at as well.
    """
    forward = forward_flops(network, shape, num_classes, two_times=two_times)
    empty = _without_content(network)
    if not list(empty.parameters()):
        return FlopsPerSample(forward, 0)
    empty.requires_grad_(True)
    # Backward alone is counted: it repeats no forward pass but that of gradient checkpointing, which is part of it.
    output = empty(*_inputs(shape, num_classes, two_times)).sample.sum()
    with FlopCounterMode(display=False) as backward:
        output.backward()
    return FlopsPerSample(forward, backward.get_total_flops())


def forward_flops(
    network: torch.nn.Module, shape: tuple[int, ...], num_classes: int | None, *, two_times: bool = False
) -> int:
    """Those of the forward pass alone, in a third of the time; arguments as for :func:`flops_per_sample`."""
    inputs = _inputs(shape, num_classes, two_times)
    return flops_of_call(network, lambda empty, x: empty(x, *inputs[1:]), shape)


def flops_of_call(
    network: torch.nn.Module, call: Callable[[torch.nn.Module, torch.Tensor], object], shape: tuple[int, ...]
) -> int:
    """FLOPs of ``call`` of a network and one sample of ``shape``, without a gradient; the same on every device."""
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        call(_without_content(network), torch.empty(1, *shape, device="meta"))
    return int(counted.get_total_flops())


def _inputs(shape: tuple[int, ...], num_classes: int | None, two_times: bool) -> list[torch.Tensor]:
    """One sample, its time, and what else a network of these asks for; without content."""
    inputs = [torch.empty(1, *shape, device="meta"), torch.empty(1, device="meta")]
    if num_classes is not None:
        inputs.append(torch.zeros(1, dtype=torch.int64, device="meta"))
    if two_times:
        inputs.append(torch.empty(1, device="meta"))
    return inputs


def _without_content(network: torch.nn.Module) -> torch.nn.Module:
    """A copy of a network, compiled or not, whose weights have shapes and no values."""
    weights = {
        id(parameter): torch.nn.Parameter(torch.empty_like(parameter, device="meta"))
        for parameter in network.parameters()
    }
    buffers = {id(buffer): torch.empty_like(buffer, device="meta") for buffer in network.buffers()}
    return copy.deepcopy(network, weights | buffers)
