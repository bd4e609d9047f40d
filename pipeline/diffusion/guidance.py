"""Classifier-free guidance: a network's output for a class, moved away from its output for no class.

What a network predicts, the estimate of x_1 and the velocity are affine functions of each other at a given state, and
the two weights sum to one, so guiding the output is guiding any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.config.guidance import GuidanceConfig
from pipeline.flow.paths import per_sample


@dataclass(frozen=True)
class Guidance:
    """How a network is guided.

    Attributes:
        config: Scale and interval.
        null_class: Class that stands for none.
    """

    config: GuidanceConfig
    null_class: int

    def scale(self, t: float | torch.Tensor) -> float | torch.Tensor | None:
        """Its weight at straight-line times ``t``, (batch,) or one for all; None where none of them is guided."""
        first, last = self.config.interval
        if self.config.is_everywhere:
            return self.config.scale
        if isinstance(t, float):
            return self.config.scale if first <= t <= last else None
        inside = (first <= t) & (t <= last)
        return torch.where(inside, self.config.scale, 1.0) if bool(inside.any()) else None


def conditioned_output(
    network: torch.nn.Module,
    x: torch.Tensor,
    time: torch.Tensor,
    labels: torch.Tensor | None,
    guidance: Guidance | None,
    t: float | torch.Tensor,
) -> tuple[torch.Tensor, int]:
    """The network's output for its classes, guided where that is asked for.

    Args:
        network: Called as networks of diffusers are.
        x: (batch, …), as the network gets it.
        time: Its time input, (batch,).
        labels: Classes, (batch,); None for an unconditional network, which is not guided.
        guidance: None for the classes alone.
        t: Straight-line time of ``x``, (batch,) or one for all.

    Returns:
        Output o_null + w (o_class - o_null) in the type of ``x`` (Ho & Salimans 2022, eq. 6, with w = 1 + their w), and
        the evaluations that it took: two where both are asked for, in one batch of both.
    """
    if labels is None:
        return network(x, time).sample.to(x.dtype), 1
    scale = None if guidance is None else guidance.scale(t)
    if guidance is None or scale is None:
        return network(x, time, labels).sample.to(x.dtype), 1
    classes = torch.cat([labels, torch.full_like(labels, guidance.null_class)])
    output = network(torch.cat([x, x]), torch.cat([time, time]), classes).sample.to(x.dtype)
    of_class, of_none = output.chunk(2)
    weight = per_sample(scale, x) if isinstance(scale, torch.Tensor) else scale
    guided: torch.Tensor = of_none + weight * (of_class - of_none)
    return guided, 2
