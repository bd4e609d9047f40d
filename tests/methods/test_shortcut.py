"""Half steps by hand, optima in closed form, and the steps that are drawn."""

from __future__ import annotations

import pytest
import torch
from helpers.gaussian_flow_map import gaussian_flow_map, independent_pairs
from helpers.velocity_field import Field, drawn, end_of
from pydantic import ValidationError

from pipeline.config.flow import LossConfig
from pipeline.config.methods import ShortcutConfig
from pipeline.flow.noise import step_generator
from pipeline.flow.paths import linear_path, per_sample
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective

CPU = torch.device("cpu")


def shortcut(**settings: object) -> Objective:
    return build_method(ShortcutConfig.model_validate(settings), LossConfig(name="l2"), CPU)


def noise(count: int, start: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, generator=step_generator(0, start))


@pytest.mark.parametrize("steps", ["halving", "continuous"])
def test_pairs_that_a_linear_map_makes_are_learned_without_a_loss_left(steps: str) -> None:
    """For x_1 = a x_0 the velocity, the whole step and every step between are (a - 1) / (1 + (a - 1) t) x_t."""
    a, x_0 = 0.4, noise(64)
    network = Field(lambda field, x, t, _: field.slope / (1 + t * field.slope) * x, slope=a - 1)
    objective = shortcut(steps=steps)
    losses = objective.loss(network, drawn(objective, x_0, a * x_0))
    losses.mean().backward()
    assert losses.max() < 1e-9
    assert network.slope.grad.abs() < 1e-5


@pytest.mark.parametrize("steps", ["halving", "continuous"])
def test_of_independent_gaussians_the_flow_map_is_consistent_and_its_velocity_the_optimum(steps: str) -> None:
    """Two exact half steps are an exact one, from every state; the pairs' velocities have the flow's as their mean."""
    x_0, x_1 = independent_pairs(100_000)
    objective = shortcut(steps=steps, share_of_velocity=0.5, share_of_pairs=0)
    batch = drawn(objective, x_0, x_1)
    still = batch["end"] == batch["t"]
    network = gaussian_flow_map()
    losses = objective.loss(network, batch)
    # Steps of 1/128 are taken as two of no length, whose error is of second order in them.
    assert losses[~still & (batch["end"] - batch["t"] > 2**-7)].max() < 1e-7
    assert losses[~still].max() < 1e-3
    losses[still].sum().backward()
    t = batch["t"][still]
    with torch.no_grad():
        u = network(linear_path(x_0, x_1, batch["t"])[still], 1000 * (1 - t), 1000 * (1 - t)).sample[:, 0]
    standard_error = 2 * (losses[still] * u.square()).sum().sqrt()
    assert network.scale.grad.abs() < 4 * standard_error
    assert standard_error < 0.05 * 2 * u.square().sum()  # 0.05 of scale would be seen


@pytest.mark.parametrize("steps", ["halving", "continuous"])
def test_targets_are_the_pairs_or_the_mean_of_two_held_half_steps(steps: str) -> None:
    b, c, x_0, x_1 = 0.7, -0.3, noise(256), noise(256, 1)
    network = Field(lambda field, x, t, label: field.b * x + c * end_of(label, x) + t, b=b)
    objective = shortcut(steps=steps)
    batch = drawn(objective, x_0, x_1)
    losses = objective.loss(network, batch)
    x_t = linear_path(x_0, x_1, batch["t"])
    t, r = per_sample(batch["t"], x_0), per_sample(batch["end"], x_0)
    m = (t + r) / 2
    smallest = r - t <= 1 / 128
    assert smallest.any()
    first = b * x_t + c * torch.where(smallest, t, m) + t
    x_m = x_t + (m - t) * first
    second = b * x_m + c * torch.where(smallest, m, r) + m
    target = torch.where(per_sample(batch["taught"], x_0), x_1 - x_0, (first + second) / 2)
    error = b * x_t + c * r + t - target
    torch.testing.assert_close(losses, error.square().mean(dim=1), atol=1e-5, rtol=1e-4)
    losses.sum().backward()
    torch.testing.assert_close(network.b.grad, (2 * error * x_t).mean(dim=1).sum(), atol=1e-3, rtol=1e-4)
    assert [(len(call.x), call.gradient) for call in network.calls] == [(64, False), (64, False), (256, True)]


def test_halved_steps_are_powers_of_two_at_multiples_of_themselves_each_as_often() -> None:
    objective = shortcut(share_of_velocity=0.25, share_of_pairs=0.25)
    times = objective.draw(torch.empty(16_000, 1), step_generator(0, 0))
    t, end, taught = times["t"], times["end"], times["taught"]
    still, whole = taught & (end == t), taught & (t == 0) & (end == 1)
    assert [int(kind.sum()) for kind in (still, whole, ~taught)] == [4_000, 4_000, 8_000]
    length, start = (end - t)[~taught], t[~taught]
    for halvings in range(8):
        of_length = length == 2.0**-halvings
        share = 1 / 8
        assert abs(of_length.float().mean() - share) < 4 * (share * (1 - share) / 8_000) ** 0.5
        places = (start[of_length] * 2**halvings).unique()
        assert torch.equal(places, torch.arange(2**halvings).float())
    assert torch.equal(objective.times(times), t)


def test_continuous_steps_start_at_the_configured_times_and_end_anywhere_after() -> None:
    objective = shortcut(steps="continuous", timesteps={"name": "fixed", "t": 0.25})
    times = objective.draw(torch.empty(16_000, 1), step_generator(0, 0))
    t, end, taught = times["t"], times["end"], times["taught"]
    assert (t[~taught] == 0.25).all()
    place = ((end - t) / (1 - t))[~taught]
    assert abs(place.mean() - 0.5) < 4 / (12 * len(place)) ** 0.5
    assert place.min() >= 0
    assert place.max() <= 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"share_of_velocity": 0.0}, "greater than 0"),
        ({"share_of_velocity": 0.75, "share_of_pairs": 0.25}, r"must leave a share of the batch.*lower one"),
        ({"steps": "halved"}, "'halving' or 'continuous'"),
        ({"share_of_pairs": float("nan")}, "input_value=nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ShortcutConfig.model_validate(settings)
