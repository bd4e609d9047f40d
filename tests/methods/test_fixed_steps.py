from __future__ import annotations

import pytest
import torch
from helpers.velocity_field import Field, drawn

from pipeline.config.flow import LossConfig
from pipeline.config.methods import FixedStepsConfig
from pipeline.flow.noise import step_generator
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective

OBJECTIVE = build_method(FixedStepsConfig(), LossConfig(name="l2"), torch.device("cpu"))


def test_the_network_is_asked_at_the_noise_alone_for_the_way_to_the_image() -> None:
    x_0, x_1 = torch.randn(2, 8, 3, generator=step_generator(0, 0))
    labels = torch.arange(8) % 2
    network = Field(lambda field, x, *_: field.slope * x, slope=0.5)
    batch = drawn(OBJECTIVE, x_0, x_1, labels=labels)
    losses = OBJECTIVE.loss(network, batch)
    torch.testing.assert_close(losses, (1.5 * x_0 - x_1).square().mean(dim=1))
    (call,) = network.calls
    assert torch.equal(call.x, x_0)
    assert call.timestep.tolist() == [1000.0] * 8
    assert torch.equal(call.labels, labels)
    assert OBJECTIVE.times(batch).tolist() == [0.0] * 8


def test_of_gaussian_pairs_the_mean_image_of_a_noise_is_learned() -> None:
    """For x_1 = a x_0 + s z the best slope of v(x, 0) is a - 1, one step of Newton's method away, but for s / √n."""
    a, s, count = 0.4, 0.3, 20_000
    x_0, z = torch.randn(2, count, 3, generator=step_generator(0, 0))
    network = Field(lambda field, x, *_: field.slope * x, slope=0.0)
    OBJECTIVE.loss(network, drawn(OBJECTIVE, x_0, a * x_0 + s * z)).mean().backward()
    learned = -network.slope.grad / (2 * x_0.square().mean())
    assert (learned - (a - 1)).abs() < 4 * s / (3 * count) ** 0.5


def fixed_steps(num_steps: int) -> Objective:
    return build_method(FixedStepsConfig(num_steps=num_steps), LossConfig(name="l2"), torch.device("cpu"))


@pytest.mark.parametrize("num_steps", [1, 3, 8])
def test_times_are_uniform_where_the_steps_start(num_steps: int) -> None:
    count = 20_000
    t = fixed_steps(num_steps).draw(torch.empty(count, 1), step_generator(0, 0))["t"]
    found, counts = t.unique(return_counts=True)
    torch.testing.assert_close(found, torch.arange(num_steps) / num_steps)
    # Each is drawn with p = 1/k: a binomial count has variance n p (1 - p).
    p = 1 / num_steps
    assert ((counts - count * p).abs() <= 4 * (count * p * (1 - p)) ** 0.5).all()


def test_of_gaussian_pairs_the_mean_way_on_the_line_is_learned_at_every_start() -> None:
    """For x_1 = a x_0 + s z, E[x_1 - x_0 | x_t] is linear in x_t, with the slope Cov(x_1 - x_0, x_t) / Var(x_t).

    x_t = (1 - t + t a) x_0 + t s z, and x_1 - x_0 = (a - 1) x_0 + s z.
    """
    a, s, num_steps, count = 0.4, 0.3, 4, 40_000
    objective = fixed_steps(num_steps)
    x_0, z = torch.randn(2, count, 1, generator=step_generator(0, 0))
    batch = drawn(objective, x_0, a * x_0 + s * z)
    for t in torch.arange(num_steps) / num_steps:
        rows = {name: values[batch["t"] == t] for name, values in batch.items()}
        network = Field(lambda field, x, *_: field.slope * x, slope=0.0)
        objective.loss(network, rows).sum().backward()
        along = 1 - t + t * a
        variance = along**2 + (t * s) ** 2
        covariance = along * (a - 1) + t * s**2
        learned = -network.slope.grad / (2 * network.calls[0].x.square().sum())
        left = (a - 1) ** 2 + s**2 - covariance**2 / variance
        assert (learned - covariance / variance).abs() < 4 * (left / (len(rows["t"]) * variance)) ** 0.5
