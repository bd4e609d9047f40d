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
