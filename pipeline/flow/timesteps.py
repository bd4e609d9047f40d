"""Distributions of the training time t in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from pipeline.config.flow import TimestepsConfig

TimeSampler = Callable[[int, torch.Generator], torch.Tensor]


def uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    """t ~ U[0, 1), shape (count,)."""
    return torch.rand(count, generator=generator)


def u_shaped(count: int, generator: torch.Generator, *, a: float) -> torch.Tensor:
    """t with density ∝ e^{-a t} + e^{-a (1 - t)}, most mass at both ends (Lee et al. 2024, sec. 4.1).

    Their e^{a t} + e^{a (1 - t)} is the same density up to a constant factor. Drawn as an exponential that is mirrored
    with probability one half.

    Args:
        count: Number of times.
        generator: Source of randomness, on the CPU.
        a: Steepness, > 0.

    Returns:
        (count,) in [0, 1].
    """
    toward_noise = exponential(count, generator, a=-a)
    mirrored = torch.rand(count, generator=generator) < 0.5
    return torch.where(mirrored, 1 - toward_noise, toward_noise)


def exponential(count: int, generator: torch.Generator, *, a: float) -> torch.Tensor:
    """t with density ∝ e^{a t}, most mass at one end (the increasing one is Lee et al. 2024, sec. 4.1).

    Drawn by inverting the distribution function, (e^{a t} - 1) / (e^a - 1).

    Args:
        count: Number of times.
        generator: Source of randomness, on the CPU.
        a: Rate, not 0: negative for most mass at noise (t = 0), positive for most at images (t = 1).

    Returns:
        (count,) in [0, 1].
    """
    u = torch.rand(count, generator=generator)
    # For a falling density the inverse is accurate near t = 0, where most mass is; a rising density is mirrored.
    falling = -torch.log1p(u * math.expm1(-abs(a))) / abs(a)
    return (1 - falling if a > 0 else falling).clamp(0, 1)


def logit_normal(count: int, generator: torch.Generator, *, mean: float, std: float) -> torch.Tensor:
    """t = sigmoid(mean + std·n), n ~ N(0, 1): most mass in the middle (Esser et al. 2024, eq. 19), (count,)."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def fixed(count: int, generator: torch.Generator, *, t: float) -> torch.Tensor:  # noqa: ARG001
    """Always ``t``, shape (count,): distillation to one step regresses at t = 0 only."""
    return torch.full((count,), t)


DISTRIBUTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "uniform": uniform,
    "u_shaped": u_shaped,
    "exponential": exponential,
    "logit_normal": logit_normal,
    "fixed": fixed,
}


def build_timesteps(config: TimestepsConfig) -> TimeSampler:
    """The configured distribution as a function of count and generator."""
    return partial(DISTRIBUTIONS[config.name], **config.parameters())
