"""Guidance: a network's output, moved away from a worse one.

That is its own output for no class (classifier-free guidance, Ho & Salimans 2022), or what a smaller or earlier network
of the same process predicts for the same class (autoguidance, Karras et al. 2024, "Guiding a diffusion model with a bad
version of itself").

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
        away_from: The network's class that stands for none; or a weaker network, called as the network itself is.
    """

    config: GuidanceConfig
    away_from: int | torch.nn.Module

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
        labels: Classes, (batch,); None for an unconditional network, which only another network guides.
        guidance: None for the network alone.
        t: Straight-line time of ``x``, (batch,) or one for all.

    Returns:
        Output o_away + w (o - o_away) in the type of ``x`` (Ho & Salimans 2022, eq. 6, with w = 1 + their w; Karras et
        al. 2024, eq. 3), and the evaluations that it took: two where it is guided.
    """
    conditions = () if labels is None else (labels,)
    scale = None if guidance is None else guidance.scale(t)
    if guidance is None or scale is None:
        return network(x, time, *conditions).sample.to(x.dtype), 1
    if isinstance(guidance.away_from, int):
        assert labels is not None  # there is a class that stands for none
        towards, away = _of_class_and_none(network, x, time, labels, guidance.away_from)
    else:
        # Either may predict a variance beside the mean, in channels of its own.
        towards, away = (
            each(x, time, *conditions).sample[:, : x.shape[1]].to(x.dtype) for each in (network, guidance.away_from)
        )
    weight = per_sample(scale, x) if isinstance(scale, torch.Tensor) else scale
    guided: torch.Tensor = away + weight * (towards - away)
    return guided, 2


def _of_class_and_none(
    network: torch.nn.Module, x: torch.Tensor, time: torch.Tensor, labels: torch.Tensor, null_class: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """In one batch of both."""
    classes = torch.cat([labels, torch.full_like(labels, null_class)])
    output = network(torch.cat([x, x]), torch.cat([time, time]), classes).sample.to(x.dtype)
    of_class, of_none = output.chunk(2)
    return of_class, of_none
