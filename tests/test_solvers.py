from __future__ import annotations

import math

import pytest
import torch

from pipeline.config import SolverConfig
from pipeline.metrics.straightness import straightness
from pipeline.solvers import dopri5, euler, heun, solve, uniform_grid

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


@pytest.mark.parametrize(("solver", "order", "calls"), [(euler, 1, 1), (heun, 2, 2)])
def test_convergence_order_and_counted_nfe(solver, order, calls) -> None:
    steps = [32, 64, 128]
    solutions = [solver(gaussian_velocity, X_0, uniform_grid(n)) for n in steps]
    errors = [(solution.x - exact_end(X_0)).abs().max().item() for solution in solutions]
    slopes = [math.log2(errors[i] / errors[i + 1]) for i in range(2)]
    assert slopes == pytest.approx([order] * 2, abs=0.15)
    assert [solution.nfe for solution in solutions] == [calls * n for n in steps]


def test_dopri5_meets_its_tolerance() -> None:
    solution = dopri5(gaussian_velocity, X_0, rtol=1e-8, atol=1e-8)
    assert torch.allclose(solution.x, exact_end(X_0), atol=1e-6)
    assert solution.nfe > 6


def test_one_euler_step_is_exact_on_a_straight_coupling() -> None:
    target = 3 * X_0 - 1
    solution = solve(lambda _x, _t: target - X_0, X_0, SolverConfig(name="euler", num_steps=1))
    assert torch.allclose(solution.x, target)
    assert solution.nfe == 1


def test_straightness_is_zero_on_straight_lines_and_known_on_a_curve() -> None:
    x_0 = torch.zeros(4, 2)
    straight = straightness(lambda x, _t: torch.ones_like(x), x_0, uniform_grid(8))
    assert straight.absolute == pytest.approx(0, abs=1e-12)
    # v = 2t in each of 2 dimensions: mean 1, variance ∫(2t - 1)² dt = 1/3 a dimension.
    curved = straightness(lambda x, t: 2 * t.reshape(-1, 1).expand_as(x), x_0, uniform_grid(4000))
    assert curved.absolute == pytest.approx(2 / 3, rel=1e-3)
    assert curved.normalised == pytest.approx(1 / 3, rel=1e-3)
