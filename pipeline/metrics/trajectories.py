"""Geometry of a velocity field's trajectories: straightness, turning, transport cost, error of inversion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from pipeline.flow.solvers import Field, euler
from pipeline.metrics.trajectory_measures import TrajectoryMeasures
from pipeline.system.errors import StraightflowError


def measure_trajectories(field: Field, x_0: torch.Tensor, times: Sequence[float]) -> TrajectoryMeasures:
    """Measures Euler trajectories of ``field`` from ``x_0``: N steps there, N back, and N/2 more for their turning.

    Along a trajectory integrated by Euler, (x_1 - x_0)/duration is exactly the time average of v, so S is the
    variance of v over time.

    Args:
        field: Velocity field.
        x_0: States at ``times[0]``, (batch, …).
        times: Increasing, uniform time grid of N ≥ 1 steps, from the trajectories' start to their end.

    Raises:
        StraightflowError: If every trajectory moves and ends where it starts, so that S cannot be normalised.
    """
    duration = times[-1] - times[0]
    mean_velocity = torch.zeros_like(x_0, dtype=torch.float64)
    mean_square = torch.zeros(len(x_0), dtype=torch.float64, device=x_0.device)
    angles = torch.zeros(len(x_0), dtype=torch.float64, device=x_0.device)
    states = _euler_states(field, x_0, times)
    x, velocity = next(states)
    one_step = x_0 + duration * velocity
    for (start, end), (following_x, following) in zip(itertools.pairwise(times), states, strict=True):
        share = (end - start) / duration
        mean_velocity += share * velocity
        mean_square += share * velocity.square().flatten(1).sum(dim=1)
        angles += _angles(velocity, following)
        x, velocity = following_x, following
    square_of_mean = mean_velocity.square().flatten(1).sum(dim=1)
    # A variance: rounding can take it below 0 on straight trajectories; clamping keeps NaN.
    absolute = float((mean_square - square_of_mean).mean().clamp(min=0))
    found_x_0 = euler(field, x, tuple(reversed(times))).x
    return TrajectoryMeasures(
        straightness=absolute,
        straightness_normalised=_normalised(absolute, float(square_of_mean.mean())),
        # The extrapolation of nearly straight trajectories can come out below 0; clamping keeps NaN.
        turning_radians=float(_extrapolated_turning(angles, field, x_0, times).mean().clamp(min=0)),
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


def _extrapolated_turning(
    angles: torch.Tensor, field: Field, x_0: torch.Tensor, times: Sequence[float]
) -> torch.Tensor:
    """Turning of each trajectory in the limit of many steps, (batch,), by Richardson's extrapolation.

    The angles between the N + 1 velocities from start to end add up to ∫ κ ds of the curve that Euler's states lie on,
    which errs by O(1/N). M = ⌊N/2⌋ steps over the same times give the error's size: what is left is O(1/N²). A single
    step has no half, and stays as it is.

    Args:
        angles: Their sum over the N steps of ``times``, (batch,).
        field: Velocity field.
        x_0: States at ``times[0]``.
        times: Uniform time grid.
    """
    num_steps = len(times) - 1
    num_coarse = num_steps // 2
    if num_coarse == 0:
        return angles
    coarse = [times[0] + (times[-1] - times[0]) * step / num_coarse for step in range(num_coarse + 1)]
    velocities = (velocity for _, velocity in _euler_states(field, x_0, coarse))
    coarse_angles = sum((_angles(*pair) for pair in itertools.pairwise(velocities)), torch.zeros_like(angles))
    return (num_steps * angles - num_coarse * coarse_angles) / (num_steps - num_coarse)


def _euler_states(
    field: Field, x_0: torch.Tensor, times: Sequence[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """State and velocity, in float64, at each of ``times``, along Euler's trajectory."""
    x = x_0
    for start, end in itertools.pairwise(times):
        velocity = field(x, x.new_full((len(x),), start)).double()
        yield x, velocity
        x = x + (end - start) * velocity.to(x.dtype)
    yield x, field(x, x.new_full((len(x),), times[-1])).double()


def _angles(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle in radians between the vectors of each sample, (batch,), accurate for small angles too (Kahan 2006)."""
    a, b = a.flatten(1), b.flatten(1)
    norm_a, norm_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    scaled_a, scaled_b = a * norm_b, b * norm_a
    return 2 * torch.atan2((scaled_a - scaled_b).norm(dim=1), (scaled_a + scaled_b).norm(dim=1))


def _rmse(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.sqrt(float((a.double() - b.double()).square().mean()))
