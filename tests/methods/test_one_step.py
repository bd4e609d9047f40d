from __future__ import annotations

import torch
from helpers.velocity_field import Field, drawn

from pipeline.config.flow import LossConfig
from pipeline.config.methods import OneStepConfig
from pipeline.flow.noise import step_generator
from pipeline.methods.build import build_method

OBJECTIVE = build_method(OneStepConfig(), LossConfig(name="l2"), torch.device("cpu"))


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
