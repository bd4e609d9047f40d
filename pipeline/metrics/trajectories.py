"""Geometry of a velocity field's trajectories: straightness, turning, transport cost, error of inversion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from pipeline.flow.solvers import Field, euler
from pipeline.metrics.trajectory_measures import TrajectoryMeasures
from pipeline.system.errors import StraightflowError


def measure_trajectories(field: Field, x_0: torch.Tensor, times: Sequence[float]) -> TrajectoryMeasures:
    """Measures Euler trajectories of ``field`` from ``x_0``, with two evaluations a step: one there, one back.

    Along a trajectory integrated by Euler, (x_1 - x_0)/duration is exactly the time average of v, so S is the
    variance of v over time.

    Args:
        field: Velocity field.
        x_0: Starting noise, (batch, …).
        times: Increasing time grid of at least one step, from the trajectories' start to their end.

    Raises:
        StraightflowError: If every trajectory moves and ends where it starts, so that S cannot be normalised.
    """
    duration = times[-1] - times[0]
    mean_velocity = torch.zeros_like(x_0, dtype=torch.float64)
    mean_square = torch.zeros(len(x_0), dtype=torch.float64, device=x_0.device)
    turning = torch.zeros(len(x_0), dtype=torch.float64, device=x_0.device)
    x, previous, one_step = x_0, None, x_0
    for start, end in itertools.pairwise(times):
        velocity = field(x, x.new_full((len(x),), start)).double()
        share = (end - start) / duration
        mean_velocity += share * velocity
        mean_square += share * velocity.square().flatten(1).sum(dim=1)
        if previous is None:
            one_step = x_0 + duration * velocity
        else:
            turning += _angles(previous, velocity)
        previous = velocity
        x = x + (end - start) * velocity.to(x.dtype)
    square_of_mean = mean_velocity.square().flatten(1).sum(dim=1)
    # A variance: rounding can take it below 0 on straight trajectories; clamping keeps NaN.
    absolute = float((mean_square - square_of_mean).mean().clamp(min=0))
    found_x_0 = euler(field, x, tuple(reversed(times))).x
    return TrajectoryMeasures(
        straightness=absolute,
        straightness_normalised=_normalised(absolute, float(square_of_mean.mean())),
        turning_radians=float(turning.mean()),
        transport_cost_per_dim=float((x - x_0).double().square().mean()),
        inversion_rmse=_rmse(found_x_0, x_0),
        one_step_rmse=_rmse(one_step, x),
    )


def _normalised(absolute: float, mean_square: float) -> float:
    """S over E‖mean velocity‖²; 0 of trajectories that do not move, which are straight."""
    if mean_square == 0 and absolute == 0:
        return 0.0
    if mean_square == 0:
        raise StraightflowError(
            expected="trajectories that end elsewhere than they start",
            found=f"none that does, with straightness {absolute:g}",
            mend="check the model and its training",
        )
    return absolute / mean_square


def _angles(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle in radians between the vectors of each sample, (batch,), accurate for small angles too (Kahan 2006)."""
    a, b = a.flatten(1), b.flatten(1)
    norm_a, norm_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    scaled_a, scaled_b = a * norm_b, b * norm_a
    return 2 * torch.atan2((scaled_a - scaled_b).norm(dim=1), (scaled_a + scaled_b).norm(dim=1))


def _rmse(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.sqrt(float((a.double() - b.double()).square().mean()))
