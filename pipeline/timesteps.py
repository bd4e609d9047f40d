"""Distributions of the training time t in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from pipeline.config import TimestepsConfig

TimeSampler = Callable[[int, torch.Generator], torch.Tensor]


def uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    """t ~ U[0, 1), shape (count,)."""
    return torch.rand(count, generator=generator)


def u_shaped(count: int, generator: torch.Generator, *, a: float) -> torch.Tensor:
    """t with density ∝ e^{-a t} + e^{-a (1 - t)}, most mass at both ends (Lee et al. 2024, sec. 4.1).

    Their e^{a t} + e^{a (1 - t)} is the same density up to its constant. Drawn by inverting one
    exponential's distribution function and mirroring it with probability one half.

    Args:
        count: Number of times.
        generator: Source of randomness, on the CPU.
        a: Steepness, > 0.

    Returns:
        (count,) in [0, 1].
    """
    u = torch.rand(count, generator=generator)
    exponential = -torch.log1p(-u * -math.expm1(-a)) / a
    mirrored = torch.rand(count, generator=generator) < 0.5
    return torch.where(mirrored, 1 - exponential, exponential).clamp(0, 1)


def fixed(count: int, generator: torch.Generator, *, t: float) -> torch.Tensor:  # noqa: ARG001
    """Always ``t``, shape (count,): distillation to one step regresses at t = 0 only."""
    return torch.full((count,), t)


def build_timesteps(config: TimestepsConfig) -> TimeSampler:
    """The configured distribution as a function of count and generator."""
    if config.name == "uniform":
        return uniform
    a = config.a
    assert a is not None  # the configuration guarantees it
    return lambda count, generator: u_shaped(count, generator, a=a)
