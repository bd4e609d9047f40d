"""ODE solvers: pure functions from a velocity field, a start and a time grid to an end.

A field is called as ``field(x, t)`` with x of shape (batch, …) and t of shape (batch,). Each call is one
function evaluation and is counted as it happens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchdiffeq

from pipeline.config import SolverConfig

Field = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Solution:
    """End of an ODE solve: the state ``x`` and the field evaluations ``nfe`` it took."""

    x: torch.Tensor
    nfe: int


class CountingField:
    """A field that counts its evaluations in ``nfe``."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self.nfe = 0

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.nfe += 1
        return self._field(x, t)


def uniform_grid(num_steps: int) -> tuple[float, ...]:
    """The num_steps + 1 times 0, 1/num_steps, …, 1."""
    return tuple(step / num_steps for step in range(num_steps + 1))


def euler(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """Explicit Euler along ``times``; order 1, one evaluation a step."""
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        x = x + (end - start) * counted(x, x.new_full((len(x),), start))
    return Solution(x, counted.nfe)


def heun(field: Field, x: torch.Tensor, times: tuple[float, ...]) -> Solution:
    """Heun's trapezoidal method along ``times``; order 2, two evaluations a step."""
    counted = CountingField(field)
    for start, end in itertools.pairwise(times):
        slope_start = counted(x, x.new_full((len(x),), start))
        predicted = x + (end - start) * slope_start
        slope_end = counted(predicted, x.new_full((len(x),), end))
        x = x + (end - start) * 0.5 * (slope_start + slope_end)
    return Solution(x, counted.nfe)


def dopri5(
    field: Field, x: torch.Tensor, *, rtol: float, atol: float, times: tuple[float, float] = (0.0, 1.0)
) -> Solution:
    """Adaptive Dormand-Prince 5(4) through torchdiffeq.

    The step size is chosen for the batch as a whole, so ``nfe`` is that of every sample in it.
    """
    counted = CountingField(field)

    def derivative(t: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return counted(state, t.to(state.dtype).expand(len(state)))

    grid = torch.tensor(times, dtype=torch.float64, device=x.device)
    states: torch.Tensor = torchdiffeq.odeint(derivative, x, grid, rtol=rtol, atol=atol, method="dopri5")
    return Solution(states[-1], counted.nfe)


def solve(field: Field, x_0: torch.Tensor, config: SolverConfig) -> Solution:
    """Integrates ``field`` from t = 0 to 1 with the configured student solver."""
    if config.name == "dopri5":
        assert config.rtol is not None  # the configuration guarantees it
        assert config.atol is not None
        return dopri5(field, x_0, rtol=config.rtol, atol=config.atol)
    assert config.num_steps is not None
    return {"euler": euler, "heun": heun}[config.name](field, x_0, uniform_grid(config.num_steps))
