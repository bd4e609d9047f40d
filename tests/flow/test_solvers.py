from __future__ import annotations

import itertools
import math

import pytest
import torch

from pipeline.config.solver import STUDENT_GRIDS, STUDENT_SOLVERS, SolverConfig
from pipeline.flow.solvers import (
    FIXED_STEP_SOLVERS,
    TIME_GRIDS,
    dopri5,
    euler,
    heun,
    midpoint,
    projection,
    rk4,
    solve,
    uniform_grid,
)

STD_1, MEAN_1 = 0.3, 2.0


def gaussian_velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[x_1 - x_0 | x_t] for independent x_0 ~ N(0, 1), x_1 ~ N(MEAN_1, STD_1²), by linear regression."""
    t = t.reshape(-1, 1)
    variance = (1 - t) ** 2 + (t * STD_1) ** 2
    covariance = t * STD_1**2 - (1 - t)
    return MEAN_1 + covariance / variance * (x - t * MEAN_1)


def exact_end(x_0: torch.Tensor) -> torch.Tensor:
    """The flow of a Gaussian to a Gaussian in one dimension is the affine map between them."""
    return MEAN_1 + STD_1 * x_0


X_0 = torch.linspace(-2, 2, 9, dtype=torch.float64).reshape(-1, 1)


def falling_velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """dx/dt = -2 t x², solved by x(t) = 1 / (1/x_0 + t²)."""
    return -2 * t.reshape(-1, 1) * x.square()


@pytest.mark.parametrize("grid", sorted(TIME_GRIDS))
@pytest.mark.parametrize(("solver", "order", "calls"), [(euler, 1, 1), (heun, 2, 2), (midpoint, 2, 2), (rk4, 4, 4)])
def test_convergence_order_and_counted_nfe(solver, order, calls, grid) -> None:
    steps, x_0 = [32, 64, 128], torch.tensor([[1.0], [1.5], [2.0]], dtype=torch.float64)
    solutions = [solver(falling_velocity, x_0, TIME_GRIDS[grid](n)) for n in steps]
    errors = [(solution.x - 1 / (1 / x_0 + 1)).abs().max().item() for solution in solutions]
    slopes = [math.log2(errors[i] / errors[i + 1]) for i in range(2)]
    assert slopes == pytest.approx([order] * 2, abs=0.15)
    assert [solution.nfe for solution in solutions] == [calls * n for n in steps]


@pytest.mark.parametrize("solver", [euler, heun, midpoint, rk4])
def test_solvers_reach_the_closed_form_of_a_gaussian_flow(solver) -> None:
    assert torch.allclose(solver(gaussian_velocity, X_0, uniform_grid(512)).x, exact_end(X_0), atol=5e-3)


@pytest.mark.parametrize("name", sorted(TIME_GRIDS))
def test_time_grids_rise_from_noise_to_image(name: str) -> None:
    for num_steps in (1, 2, 7, 64):
        times = TIME_GRIDS[name](num_steps)
        assert len(times) == num_steps + 1
        assert (times[0], times[-1]) == (0, 1)
        assert all(start < end for start, end in itertools.pairwise(times))


def test_the_edm_grid_has_karras_noise_levels() -> None:
    sigmas = [(1 - t) / t for t in TIME_GRIDS["edm"](18)[1:-1]]
    ramp = [80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7)) for i in range(1, 18)]
    assert sigmas == pytest.approx([root**7 for root in ramp])


def test_projection_is_euler_at_one_step_and_keeps_to_the_line_from_the_noise() -> None:
    assert torch.equal(projection(gaussian_velocity, X_0, (0.0, 1.0)).x, euler(gaussian_velocity, X_0, (0.0, 1.0)).x)
    seen: list[tuple[float, torch.Tensor]] = []

    def field(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append((float(t[0]), x))
        return gaussian_velocity(x, t)

    solution = projection(field, X_0, uniform_grid(4))
    assert solution.nfe == 4
    for (before, x), (after, x_next) in itertools.pairwise(seen):
        image = x + (1 - before) * gaussian_velocity(x, torch.full((len(x),), before, dtype=x.dtype))
        assert torch.allclose(x_next, (1 - after) * X_0 + after * image)


def test_solve_takes_every_solver_and_grid_of_the_configuration() -> None:
    for name, solver in FIXED_STEP_SOLVERS.items():
        for grid in (*TIME_GRIDS, (0.0, 0.3, 0.5, 1.0)):
            config = SolverConfig(name=name, num_steps=3, grid=grid)
            times = TIME_GRIDS[grid](3) if isinstance(grid, str) else grid
            assert torch.equal(solve(gaussian_velocity, X_0, config).x, solver(gaussian_velocity, X_0, times).x)


@pytest.mark.parametrize("grid", [(0.0, 1.0), (0.1, 0.5, 1.0), (0.0, 0.5, 0.5), (0.0, 0.5, 0.9)])
def test_given_times_that_are_no_grid_are_refused(grid: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="grid"):
        SolverConfig(name="euler", num_steps=2, grid=grid)


def test_dopri5_meets_its_tolerance() -> None:
    solution = dopri5(gaussian_velocity, X_0, rtol=1e-8, atol=1e-8)
    assert torch.allclose(solution.x, exact_end(X_0), atol=1e-6)
    assert solution.nfe > 6


def test_one_euler_step_is_exact_on_a_straight_coupling() -> None:
    target = 3 * X_0 - 1
    solution = solve(lambda _x, _t: target - X_0, X_0, SolverConfig(name="euler", num_steps=1))
    assert torch.allclose(solution.x, target)
    assert solution.nfe == 1


def test_every_solver_and_grid_of_the_configuration_is_in_its_registry() -> None:
    assert {*FIXED_STEP_SOLVERS, "dopri5"} == set(STUDENT_SOLVERS)
    assert set(TIME_GRIDS) == set(STUDENT_GRIDS)
