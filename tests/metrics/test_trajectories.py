from __future__ import annotations

import math

import pytest
import torch

from pipeline.flow.solvers import uniform_grid
from pipeline.metrics.trajectories import measure_trajectories
from pipeline.system.errors import StraightflowError


def test_straight_lines_measure_zero_but_for_their_length() -> None:
    x_0 = torch.zeros(4, 2, dtype=torch.float64)
    found = measure_trajectories(lambda x, _t: torch.full_like(x, 3.0), x_0, uniform_grid(8))
    assert found.transport_cost_per_dim == pytest.approx(9)
    zeros = (found.straightness, found.turning_radians, found.inversion_rmse, found.one_step_rmse)
    assert zeros == pytest.approx((0,) * 4, abs=1e-12)


def test_a_speed_that_changes_along_a_line_is_not_straight_but_does_not_turn() -> None:
    # v = 2t in each of 2 dimensions: mean 1, variance ∫(2t - 1)² dt = 1/3 a dimension; one step of v(0) = 0 stays.
    x_0 = torch.zeros(4, 2, dtype=torch.float64)
    found = measure_trajectories(lambda x, t: 2 * t.reshape(-1, 1).expand_as(x), x_0, uniform_grid(4000))
    assert found.straightness == pytest.approx(2 / 3, rel=1e-3)
    assert found.straightness_normalised == pytest.approx(1 / 3, rel=1e-3)
    assert found.turning_radians == pytest.approx(0, abs=1e-6)
    assert found.one_step_rmse == pytest.approx(1, rel=1e-3)


def test_a_circle_turns_by_its_angle_and_its_inversion_error_falls_with_the_step() -> None:
    angle = 1.5

    def rotation(x: torch.Tensor, _t: torch.Tensor) -> torch.Tensor:
        return angle * torch.stack([-x[:, 1], x[:, 0]], dim=1)

    x_0 = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    coarse, fine = (measure_trajectories(rotation, x_0, uniform_grid(n)) for n in (500, 1000))
    assert fine.turning_radians == pytest.approx(angle, rel=2e-3)
    # A chord of the unit circle has the squared length 2 - 2 cos(angle); radii 1 and 2 have mean square 5/2.
    chord = (2 - 2 * math.cos(angle)) * 5 / 2
    assert fine.transport_cost_per_dim == pytest.approx(chord / 2, rel=1e-2)
    # Each Euler step there and back stretches by 1 + (angle·h)², so the error is angle²·h times the radius.
    assert fine.inversion_rmse == pytest.approx(angle**2 / 1000 * math.sqrt(5 / 4), rel=1e-2)
    assert coarse.inversion_rmse == pytest.approx(2 * fine.inversion_rmse, rel=1e-2)


def test_times_may_cover_a_part_of_the_axis() -> None:
    x_0 = torch.zeros(1, 2, dtype=torch.float64)
    found = measure_trajectories(lambda x, t: 2 * t.reshape(-1, 1).expand_as(x), x_0, (0.25, 0.75))
    assert found.transport_cost_per_dim == pytest.approx((0.5 * 0.5) ** 2)
    assert found.straightness == 0


def test_trajectories_that_do_not_move_are_straight() -> None:
    x_0 = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    found = measure_trajectories(lambda x, _t: torch.zeros_like(x), x_0, uniform_grid(4))
    assert set(vars(found).values()) == {0.0}


def test_trajectories_that_all_come_back_have_no_normalised_straightness() -> None:
    x_0 = torch.zeros(4, 2, dtype=torch.float64)
    with pytest.raises(StraightflowError, match="end elsewhere than they start"):
        measure_trajectories(lambda x, t: (1 - 4 * t.reshape(-1, 1)).expand_as(x), x_0, uniform_grid(2))


@pytest.mark.parametrize("num_steps", [1, 2, 3, 5, 8, 40])
def test_an_arc_of_a_circle_turns_by_its_angle_for_any_number_of_steps(num_steps: int) -> None:
    angle = 1.5

    def along_the_arc(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.cos(angle * t), torch.sin(angle * t)], dim=1).to(x)

    found = measure_trajectories(along_the_arc, torch.zeros(3, 2, dtype=torch.float64), uniform_grid(num_steps))
    assert found.turning_radians == pytest.approx(angle, rel=1e-12)


def test_turning_of_a_spiral_has_no_error_of_first_order() -> None:
    # v = (angle J + rate) x has the direction of x, turned by a constant angle, and x turns by `angle` in all. Euler's
    # states turn by atan2(angle h, 1 + rate h) a step, which is angle h (1 - rate h) to second order.
    angle, rate = 1.5, -0.3

    def spiral(x: torch.Tensor, _t: torch.Tensor) -> torch.Tensor:
        return angle * torch.stack([-x[:, 1], x[:, 0]], dim=1) + rate * x

    def turned(num_steps: int) -> float:
        return num_steps * math.atan2(angle / num_steps, 1 + rate / num_steps)

    x_0 = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    errors = {}
    for num_steps in (20, 40, 80):
        found = measure_trajectories(spiral, x_0, uniform_grid(num_steps)).turning_radians
        assert found == pytest.approx(2 * turned(num_steps) - turned(num_steps // 2), rel=1e-9)
        errors[num_steps] = found - angle
    assert errors[20] / errors[40] == pytest.approx(4, rel=0.1)
    assert errors[40] / errors[80] == pytest.approx(4, rel=0.1)
    assert abs(errors[80]) < 1e-3 * angle
    odd = measure_trajectories(spiral, x_0, uniform_grid(41)).turning_radians
    assert odd == pytest.approx((41 * turned(41) - 20 * turned(20)) / 21, rel=1e-9)
