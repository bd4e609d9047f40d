"""The states that a solve goes through are those of a solve that ends there."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.solver import SolverConfig
from pipeline.flow.solvers import FIXED_STEP_SOLVERS, solve, time_grid
from pipeline.flow.states import StepStarts
from pipeline.system.errors import StraightflowError

X_0 = torch.linspace(-2, 2, 9).reshape(-1, 1)


def falling(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """dx/dt = -2 t x, solved by x(t) = x_0 exp(-t²)."""
    return -2 * t.reshape(-1, 1) * x


@pytest.mark.parametrize("grid", ["uniform", "cosine", "edm", (0.0, 0.1, 0.7, 0.75, 1.0)])
@pytest.mark.parametrize("name", sorted(FIXED_STEP_SOLVERS))
def test_of_a_flow(name: str, grid: str | tuple[float, ...]) -> None:
    solver = SolverConfig(name=name, num_steps=4, grid=grid)
    starts, times = StepStarts(solver), time_grid(solver)
    seen = solve(starts.of_field(falling), X_0, solver)
    assert torch.equal(seen.x, solve(falling, X_0, solver).x)
    kept = starts.states()
    expected = [FIXED_STEP_SOLVERS[name](falling, X_0, times[: end + 1]).x for end in (1, 2, 3)]
    assert torch.equal(kept.z, torch.stack(expected, dim=1).half())
    moved = torch.stack(expected, dim=1) - kept.z.float()
    torch.testing.assert_close(kept.squared_error, moved.square().mean())
    assert (moved.abs() <= 2**-11 * kept.z.float().abs() + 1e-7).all()


def test_of_a_flow_in_closed_form() -> None:
    solver = SolverConfig(name="rk4", num_steps=16)
    starts = StepStarts(solver)
    solve(starts.of_field(falling), X_0, solver)
    t = torch.tensor(time_grid(solver)[1:-1])
    exact = X_0[:, None] * torch.exp(-t.square())[None, :, None]
    torch.testing.assert_close(starts.states().z.float(), exact, rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize(
    ("solver", "problem"),
    [
        (SolverConfig(name="dopri5", rtol=1e-3, atol=1e-3), "dopri5 chooses its own times"),
        (SolverConfig(name="euler", num_steps=1), "euler takes one step"),
    ],
)
def test_of_a_solver_that_has_none(solver: SolverConfig, problem: str) -> None:
    with pytest.raises(StraightflowError, match=problem):
        StepStarts(solver)
