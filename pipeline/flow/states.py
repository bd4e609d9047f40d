"""The states that a solver of fixed steps goes through, kept while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

import torch

from pipeline.config.network_calls import calls_per_step
from pipeline.config.solver import SolverConfig, states_problem
from pipeline.system.errors import StraightflowError

Times = ParamSpec("Times")


@dataclass(frozen=True)
class States:
    """States of some samples on the straight time axis, where each step but the first one began.

    The first step begins at the noise, which whoever solves has anyway.

    Attributes:
        z: Float16, (batch, num_steps - 1, …). Rounding moves an entry by at most 2^-11 of itself, so by less than 0.002
            between -4 and 4.
        squared_error: Mean square by which rounding moved the entries, a scalar.
    """

    z: torch.Tensor
    squared_error: torch.Tensor

    def cpu(self) -> States:
        """The same on the CPU."""
        return States(self.z.cpu(), self.squared_error.cpu())


class StepStarts:
    """Sees every state that a solve calls its network at, and keeps those where a step begins.

    A step's first call is where it begins: of multistep methods, the predicted state that the network saw.

    Args:
        solver: Of the one solve that is seen.

    Raises:
        StraightflowError: If the solver has no such states.
    """

    def __init__(self, solver: SolverConfig) -> None:
        problem = states_problem(solver)
        if problem is not None:
            raise StraightflowError(
                expected="a solver whose states can be kept",
                found=problem,
                mend="change the solver, or set states: false",
            )
        self._calls_per_step, self._num_calls = calls_per_step(solver.name), 0
        self._kept: list[torch.Tensor] = []
        self._squared_errors: list[torch.Tensor] = []

    def see(self, z: torch.Tensor) -> None:
        """Told before each call of the network: the state on the straight time axis, (batch, …)."""
        if self._num_calls > 0 and self._num_calls % self._calls_per_step == 0:
            self._kept.append(z.half())
            self._squared_errors.append((self._kept[-1].float() - z).square().mean())
        self._num_calls += 1

    def of_field(
        self, field: Callable[Concatenate[torch.Tensor, Times], torch.Tensor]
    ) -> Callable[Concatenate[torch.Tensor, Times], torch.Tensor]:
        """``field``, a function of a state and times, every call of which is seen."""

        def seen(x: torch.Tensor, /, *times: Times.args, **named: Times.kwargs) -> torch.Tensor:
            self.see(x)
            return field(x, *times, **named)

        return seen

    def states(self) -> States:
        """What was kept, once the solve is over."""
        return States(torch.stack(self._kept, dim=1), torch.stack(self._squared_errors).mean())
