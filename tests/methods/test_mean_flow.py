"""The identity by hand, optima in closed form, and the times that are drawn."""

from __future__ import annotations

import pytest
import torch
from helpers.composition import changed
from helpers.gaussian_flow_map import gaussian_flow_map, independent_pairs
from helpers.velocity_field import Field, drawn, end_of
from pydantic import ValidationError

from pipeline.config.flow import LossConfig, TimestepsConfig
from pipeline.config.loading import parse_config
from pipeline.config.methods import MeanFlowConfig
from pipeline.flow.noise import step_generator
from pipeline.flow.paths import linear_path, per_sample
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.system.errors import StraightflowError

CPU = torch.device("cpu")


def mean_flow(**settings: object) -> Objective:
    return build_method(MeanFlowConfig.model_validate(settings), LossConfig(name="l2"), CPU)


def noise(count: int, start: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, generator=step_generator(0, start))


def test_pairs_that_a_linear_map_makes_are_learned_without_a_loss_left() -> None:
    """For x_1 = a x_0 lines do not cross: the mean velocity is (a - 1) x_0 = (a - 1) / (1 + (a - 1) t) x_t."""
    a, x_0 = 0.4, noise(64)
    network = Field(lambda field, x, t, _: field.slope / (1 + t * field.slope) * x, slope=a - 1)
    objective = mean_flow()
    losses = objective.loss(network, drawn(objective, x_0, a * x_0))
    losses.mean().backward()
    assert losses.max() < 1e-9
    assert network.slope.grad.abs() < 1e-4


@pytest.mark.parametrize("h", [0.02, 0.2])
def test_the_target_is_the_velocity_and_the_length_times_the_derivative_along_the_line(h: float) -> None:
    """Of u = b t x + c r, r fixed, b t (x_0 + t v) is differentiated: b x_0 + 2 b t v.

    A quadratic's difference between two times is its derivative midway, which is t unless a time is cut off.
    """
    b, c, x_0, x_1 = 0.7, -0.3, noise(64), noise(64, 1)
    network = Field(lambda field, x, t, label: field.b * t * x + c * end_of(label, x), b=b)
    objective = mean_flow(difference_step=h)
    batch = drawn(objective, x_0, x_1)
    losses = objective.loss(network, batch)
    t, r, v = per_sample(batch["t"], x_0), per_sample(batch["end"], x_0), x_1 - x_0
    midway = (torch.minimum(t + h, r) + (t - h).clamp(min=0)) / 2
    assert (midway == t).any()
    assert (midway < t).any()
    assert (midway > t).any()
    error = b * t * linear_path(x_0, x_1, batch["t"]) + c * r - v - (r - t) * (b * x_0 + 2 * b * midway * v)
    torch.testing.assert_close(losses, error.square().mean(dim=1), atol=1e-5, rtol=1e-4)
    losses.sum().backward()
    # The target is held: the gradient is of the prediction alone.
    expected = (2 * error * t * linear_path(x_0, x_1, batch["t"])).mean(dim=1).sum()
    torch.testing.assert_close(network.b.grad, expected, atol=1e-4, rtol=1e-4)
    assert sorted(call.gradient for call in network.calls) == [False, False, True]


def test_steps_of_no_length_learn_the_velocity_and_take_no_calls_but_one() -> None:
    x_0, x_1 = noise(16), noise(16, 1)
    network = Field(lambda field, x, t, _: field.slope * t * x.sin(), slope=0.3)
    objective = mean_flow(share_of_velocity=0.75)
    batch = drawn(objective, x_0, x_1)
    losses = objective.loss(network, batch)
    still = batch["end"] == batch["t"]
    assert int(still.sum()) == 12
    t = per_sample(batch["t"], x_0)
    error = 0.3 * t * linear_path(x_0, x_1, batch["t"]).sin() - (x_1 - x_0)
    torch.testing.assert_close(losses[still], error.square().mean(dim=1)[still])
    assert [len(call.x) for call in network.calls] == [4, 4, 16]


def test_of_independent_gaussians_the_flow_map_is_the_optimum() -> None:
    """Though the velocities along the pairs' lines are not the flow's, no gradient is left at its mean velocity.

    With L2 the best prediction is the target's mean given x_t, v̄ + (r - t)(∂u/∂x v̄ + ∂u/∂t) as ∂u/∂x depends on x_t
    alone: the identity with the flow's velocity v̄. Where all is scaled by 0.9, u - target is -0.1 v̄ in the mean, and
    the gradient by the scale is that times u, which has v̄'s sign: negative.
    """
    x_0, x_1 = independent_pairs(100_000)
    objective = mean_flow(timesteps=TimestepsConfig(name="uniform"))
    batch = drawn(objective, x_0, x_1)
    for scale, settled in ((1.0, True), (0.9, False)):
        network = gaussian_flow_map(scale)
        losses = objective.loss(network, batch)
        losses.sum().backward()
        # d loss / d scale is 2 · error · u, of which |error| is known.
        with torch.no_grad():
            u = network(linear_path(x_0, x_1, batch["t"]), 1000 * (1 - batch["t"]), 1000 * (1 - batch["end"])).sample
        standard_error = 2 * (losses * u[:, 0].square()).sum().sqrt() / scale
        away = network.scale.grad / standard_error
        assert abs(away) < 4 if settled else away < -10


def test_ends_are_at_the_start_at_the_image_or_between() -> None:
    objective = mean_flow(share_of_velocity=0.3, share_to_image=0.4)
    drawn_times = objective.draw(torch.empty(20_000, 1), step_generator(0, 0))
    t, end = drawn_times["t"], drawn_times["end"]
    assert torch.equal(drawn_times["still"], end == t)
    assert int((end == t).sum()) == 6_000
    assert (end >= t).all()
    assert (end <= 1).all()
    # A share p of n rows has a standard error of sqrt(p (1 - p) / n).
    moving = 14_000
    assert abs(float((end == 1).sum()) / moving - 0.4) < 4 * (0.4 * 0.6 / moving) ** 0.5
    between = (end > t) & (end < 1)
    place = ((end - t) / (1 - t))[between]
    assert abs(place.mean() - 0.5) < 4 / (12 * len(place)) ** 0.5
    assert torch.equal(objective.times(drawn_times), t)
    # u_shaped, the default, has more mass within a tenth of either end than uniform times.
    assert ((t < 0.1) | (t > 0.9)).float().mean() > 0.3


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"share_of_velocity": 1.0}, "less than 1"),
        ({"share_to_image": -0.1}, "greater than or equal to 0"),
        ({"difference_step": 0.0}, "greater than or equal to 0.0001"),
        ({"difference_step": float("nan")}, "input_value=nan"),
        ({"timesteps": {"name": "unifrm"}}, "did you mean 'uniform'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        MeanFlowConfig.model_validate(settings)


@pytest.mark.parametrize("name", ["mean_flow", "consistency"])
def test_dropout_is_refused_as_it_would_differ_between_the_calls_of_a_difference(name: str) -> None:
    changes = {"students.few_step.method": {"name": name}, "students.few_step.dropout": 0.1}
    with pytest.raises(StraightflowError, match=rf"students\.few_step: dropout is 0\.1, but {name}.*set dropout to 0"):
        parse_config(changed("smoke", changes), origin="test")
