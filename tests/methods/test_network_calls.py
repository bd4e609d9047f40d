"""What a method says of its network calls is what it makes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from helpers.learnable_features import PixelFeatures
from helpers.method_settings import SETTINGS
from helpers.velocity_field import Field, drawn

from pipeline.config.flow import LossConfig
from pipeline.config.methods import METHODS, Method
from pipeline.methods.build import build_method
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.ode import Ode
from pipeline.models.student import predict_velocity
from pipeline.models.velocity_mlp import VelocityMLP

NUM_IMAGES = 16
STATE_TIMES = (0.25, 0.5, 0.75)


def network_of(config: Method) -> torch.nn.Module:
    """One of as many times as the method's students have."""
    if config.two_times:
        return Field(lambda field, x, *_: field.slope * x, slope=0.3)
    return VelocityMLP(in_channels=2, width=8, num_layers=1)


def test_every_method_is_here() -> None:
    assert set(SETTINGS) == set(METHODS)


@pytest.mark.parametrize("name", SETTINGS)
def test_network_calls_of_a_training_image(name: str) -> None:
    config = METHODS[name].model_validate({"name": name} | SETTINGS[name])
    calls, of_init = NetworkCalls(), NetworkCalls()
    network = CountedNetwork(network_of(config), calls)
    followed = CountedNetwork(VelocityMLP(in_channels=2, width=8, num_layers=1), of_init)
    init = Ode(partial(predict_velocity, followed)) if config.follows_init else None
    method = build_method(
        config,  # type: ignore[arg-type]
        LossConfig(name="l2"),
        torch.device("cpu"),
        state_times=STATE_TIMES,
        init=init,
        features=PixelFeatures(np.zeros(2), np.eye(2)) if config.learns_features else None,
    )
    batch = drawn(method, torch.randn(NUM_IMAGES, 2), torch.randn(NUM_IMAGES, 2))
    if config.needs_states:
        batch["states"] = torch.randn(NUM_IMAGES, len(STATE_TIMES), 2).half()
    method.loss(network, batch).mean().backward()
    expected = config.network_calls
    assert (calls.forward, calls.backward) == (expected.forward * NUM_IMAGES, expected.backward * NUM_IMAGES)
    assert (of_init.forward, of_init.backward) == (expected.of_init * NUM_IMAGES, 0)
    calls.forward = calls.backward = of_init.forward = 0
    with torch.no_grad():
        method.loss(network, batch)
    expected = config.heldout_calls
    assert (calls.forward, calls.backward) == (expected.forward * NUM_IMAGES, 0)
    assert of_init.forward == expected.of_init * NUM_IMAGES
