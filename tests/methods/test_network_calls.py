"""What a method says of its network calls is what it makes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from helpers.velocity_field import drawn

from pipeline.config.flow import LossConfig
from pipeline.config.methods import METHODS
from pipeline.methods.build import build_method
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.ode import Ode
from pipeline.models.student import predict_velocity
from pipeline.models.velocity_mlp import VelocityMLP

SETTINGS: dict[str, dict[str, Any]] = {
    "reflow": {"timesteps": {"name": "uniform"}},
    "fixed_steps": {"num_steps": 4},
    "any_step": {"share_at_noise": 0.75},
    "progressive": {"num_steps": 4},
    "consistency": {"ode_solver": "euler"},
}
NUM_IMAGES = 16


def test_every_method_is_here() -> None:
    assert set(SETTINGS) == set(METHODS)


@pytest.mark.parametrize("name", SETTINGS)
def test_network_calls_of_a_training_image(name: str) -> None:
    config = METHODS[name].model_validate({"name": name} | SETTINGS[name])
    calls, of_init = NetworkCalls(), NetworkCalls()
    network, followed = (
        CountedNetwork(VelocityMLP(in_channels=2, width=8, num_layers=1), counts) for counts in (calls, of_init)
    )
    init = Ode(partial(predict_velocity, followed)) if config.follows_init else None
    method = build_method(config, LossConfig(name="l2"), torch.device("cpu"), init=init)  # type: ignore[arg-type]
    x_1 = torch.randn(NUM_IMAGES, 2)
    batch = drawn(method, torch.randn(NUM_IMAGES, 2), x_1)
    method.loss(network, batch).mean().backward()
    expected = config.network_calls
    assert (calls.forward, calls.backward) == (expected.forward * NUM_IMAGES, expected.backward * NUM_IMAGES)
    assert (of_init.forward, of_init.backward) == (expected.of_init * NUM_IMAGES, 0)
