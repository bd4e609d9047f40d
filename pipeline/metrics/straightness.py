"""How straight the trajectories of a velocity field are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.solvers import Field


@dataclass(frozen=True)
class Straightness:
    """S of Liu et al. 2022 (sec. 2.2, eq. 6), and S divided by E‖mean velocity‖²; both 0 when straight."""

    absolute: float
    normalised: float


def straightness(field: Field, x_0: torch.Tensor, times: Sequence[float]) -> Straightness:
    """Mean squared deviation of the velocity from its average along Euler trajectories.

    S = ∫ E‖(x_1 - x_0) - v(x_t, t)‖² dt; along a trajectory integrated by Euler x_1 - x_0 is exactly the time
    average of v, so S is the variance of v over time.

    Args:
        field: Velocity field.
        x_0: Starting noise, (batch, …).
        times: Increasing grid; its first and last entries bound the trajectories.
    """
    duration = times[-1] - times[0]
    mean_velocity = torch.zeros_like(x_0, dtype=torch.float64)
    mean_square = torch.zeros(len(x_0), dtype=torch.float64, device=x_0.device)
    x = x_0
    for start, end in itertools.pairwise(times):
        velocity = field(x, x.new_full((len(x),), start)).float()
        share = (end - start) / duration
        mean_velocity += share * velocity.double()
        mean_square += share * velocity.double().square().flatten(1).sum(dim=1)
        x = x + (end - start) * velocity
    square_of_mean = mean_velocity.square().flatten(1).sum(dim=1)
    absolute = float((mean_square - square_of_mean).mean())
    return Straightness(absolute=absolute, normalised=absolute / float(square_of_mean.mean()))
