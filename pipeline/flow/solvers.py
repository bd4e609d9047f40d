"""ODE solvers: pure functions of a velocity field, a start state and a time grid that return the end state.

A field is called as ``field(x, t)`` with x of shape (batch, …) and t of shape (batch,). Each call is one
function evaluation and is counted as it happens.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.config.solver import SolverConfig
from pipeline.flow.adaptive import State, integrate_dopri5
from pipeline.flow.states import States

Field = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
MeanField = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Mean velocity of a step, called as ``field(x, t, end)``, with t and end of shape (batch,)."""


@dataclass(frozen=True)
class Solution:
    """End of an ODE solve: the state ``x``, the field evaluations ``nfe`` it took, and the states before, if kept."""

    x: torch.Tensor
    nfe: int
    states: States | None = None


class CountingField:
    """A field of one time or of two that counts its evaluations in ``nfe``."""

    def __init__(self, field: Callable[..., torch.Tensor]) -> None:
        self._field = field
        self.nfe = 0

    def __call__(self, x: torch.Tensor, *times: torch.Tensor) -> torch.Tensor:
        self.nfe += 1
        return self._field(x, *times)


def euler(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """Explicit Euler along ``times``; order 1, one evaluation a step."""
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        x = x + (end - start) * counted(x, _at(x, start))
    return Solution(x, counted.nfe)


def heun(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """Heun's trapezoidal method along ``times``; order 2, two evaluations a step."""
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        slope_start = counted(x, _at(x, start))
        slope_end = counted(x + (end - start) * slope_start, _at(x, end))
        x = x + (end - start) * 0.5 * (slope_start + slope_end)
    return Solution(x, counted.nfe)


def midpoint(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """The explicit midpoint method along ``times``; order 2, two evaluations a step."""
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        halfway = x + 0.5 * (end - start) * counted(x, _at(x, start))
        x = x + (end - start) * counted(halfway, _at(x, 0.5 * (start + end)))
    return Solution(x, counted.nfe)


def rk4(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """The classical Runge-Kutta method along ``times``; order 4, four evaluations a step."""
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        step, middle = end - start, 0.5 * (start + end)
        slope_1 = counted(x, _at(x, start))
        slope_2 = counted(x + 0.5 * step * slope_1, _at(x, middle))
        slope_3 = counted(x + 0.5 * step * slope_2, _at(x, middle))
        slope_4 = counted(x + step * slope_3, _at(x, end))
        x = x + step / 6 * (slope_1 + 2 * slope_2 + 2 * slope_3 + slope_4)
    return Solution(x, counted.nfe)


def projection(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """Steps that stay on straight lines from the start ``x``; one evaluation a step.

    Each step predicts the image, x̂_1 = x_t + (1 - t) v(x_t, t), and interpolates it with the trajectory's own noise:
    x_t' = (1 - t') x_0 + t' x̂_1. This is the sampler ``new`` of Lee et al. 2024's published code with its Euler solver,
    whose t is 1 - t here and starts at 1 - 1e-5 instead of 1. It does not solve the ODE: it equals Euler on straight
    trajectories and for one step; on curved ones it keeps the network's inputs on the lines that reflow trained on.
    ``times`` starts at 0 and ends at 1.
    """
    counted = CountingField(field)
    x_0 = x
    for start, end in itertools.pairwise(times):
        predicted = x + (1 - start) * counted(x, _at(x, start))
        x = (1 - end) * x_0 + end * predicted
    return Solution(x, counted.nfe)


def dopri5(
    field: Field, x: torch.Tensor, *, rtol: float, atol: float, times: tuple[float, float] = (0.0, 1.0)
) -> Solution:
    """Adaptive Dormand-Prince 5(4) through torchdiffeq.

    The step size is chosen for the whole batch, so all its samples have the same ``nfe``.

    Raises:
        StraightflowError: See :func:`pipeline.flow.adaptive.integrate_dopri5`.
    """
    counted = CountingField(field)

    def derivative(t: torch.Tensor, state: State) -> State:
        (x_t,) = state
        return (counted(x_t, t.to(x_t.dtype).expand(len(x_t))),)

    (end,) = integrate_dopri5(derivative, (x,), times, rtol=rtol, atol=atol)
    return Solution(end, counted.nfe)


def flow_map_euler(field: MeanField, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """Steps of a flow map along ``times``, x_r = x_t + (r - t) u(x_t, t, r) (Geng et al. 2025); one call each.

    It is exact for every length of a step if u is the mean velocity from t to r, (1 / (r - t)) ∫ v(x_s, s) ds.
    """
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        x = x + (end - start) * counted(x, _at(x, start), _at(x, end))
    return Solution(x, counted.nfe)


def solve(field: Field, x_0: torch.Tensor, config: SolverConfig) -> Solution:
    """Integrates ``field`` from t = 0 to 1 with the configured student solver."""
    if config.name == "dopri5":
        return dopri5(field, x_0, **config.tolerances)
    return FIXED_STEP_SOLVERS[config.name](field, x_0, time_grid(config))


def time_grid(config: SolverConfig) -> tuple[float, ...]:
    """Time grid of a student's fixed-step solver, from 0 to 1."""
    return config.grid if isinstance(config.grid, tuple) else TIME_GRIDS[config.grid](config.steps)


FIXED_STEP_SOLVERS: dict[str, Callable[[Field, torch.Tensor, tuple[float, ...]], Solution]] = {
    "euler": euler,
    "heun": heun,
    "midpoint": midpoint,
    "rk4": rk4,
    "projection": projection,
}


def _at(x: torch.Tensor, t: float) -> torch.Tensor:
    """Time ``t`` for every sample of ``x``."""
    return x.new_full((len(x),), t)


EDM_SIGMA_MAX, EDM_SIGMA_MIN, EDM_RHO = 80.0, 0.002, 7.0


def uniform_grid(num_steps: int) -> tuple[float, ...]:
    """The num_steps + 1 times 0, 1/num_steps, …, 1."""
    return tuple(step / num_steps for step in range(num_steps + 1))


def cosine_grid(num_steps: int) -> tuple[float, ...]:
    """t_i = (1 - cos(π i / num_steps)) / 2: short steps at both ends, where learned fields bend most."""
    return (0.0, *(0.5 * (1 - math.cos(math.pi * step / num_steps)) for step in range(1, num_steps)), 1.0)


def edm_grid(num_steps: int) -> tuple[float, ...]:
    """The noise levels of Karras et al. 2022 (eq. 5, ρ = 7, σ from 80 to 0.002, then 0) as rectified-flow times.

    x_t = (1 - t) x_0 + t x_1 has the noise-to-signal ratio σ = (1 - t)/t, so t = 1/(1 + σ). The first time is 0 and
    not 1/81, since a rectified flow starts from pure noise.
    """
    start, end = EDM_SIGMA_MAX ** (1 / EDM_RHO), EDM_SIGMA_MIN ** (1 / EDM_RHO)
    shares = [step / (num_steps - 1) for step in range(1, num_steps)] if num_steps > 1 else []
    sigmas = [(start + share * (end - start)) ** EDM_RHO for share in shares]
    return (0.0, *(1 / (1 + sigma) for sigma in sigmas), 1.0)


TIME_GRIDS: dict[str, Callable[[int], tuple[float, ...]]] = {
    "uniform": uniform_grid,
    "cosine": cosine_grid,
    "edm": edm_grid,
}
