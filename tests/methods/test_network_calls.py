"""What a method says of its network calls is what it makes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.velocity_field import Field

from pipeline.config.flow import LossConfig
from pipeline.config.methods import METHODS, Method
from pipeline.methods.build import build_method
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.velocity_mlp import VelocityMLP

SETTINGS: dict[str, dict[str, Any]] = {
    "reflow": {"timesteps": {"name": "uniform"}},
    "fixed_steps": {"num_steps": 4},
    "any_step": {"share_at_noise": 0.75},
    "cmt": {},
    "mean_flow": {"share_of_velocity": 0.25},
    "shortcut": {"share_of_velocity": 0.5, "share_of_pairs": 0.25},
}
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
    method = build_method(config, LossConfig(name="l2"), torch.device("cpu"), state_times=STATE_TIMES)  # type: ignore[arg-type]
    calls = NetworkCalls()
    network = CountedNetwork(network_of(config), calls)
    x_1 = torch.randn(NUM_IMAGES, 2)
    batch = {"x_0": torch.randn(NUM_IMAGES, 2), "x_1": x_1} | method.draw(x_1, torch.Generator().manual_seed(0))
    if config.needs_states:
        batch["states"] = torch.randn(NUM_IMAGES, len(STATE_TIMES), 2).half()
    method.loss(network, batch).mean().backward()
    expected = config.network_calls
    assert (calls.forward, calls.backward) == (expected.forward * NUM_IMAGES, expected.backward * NUM_IMAGES)
    calls.forward = calls.backward = 0
    with torch.no_grad():
        method.loss(network, batch)
    expected = config.heldout_calls
    assert (calls.forward, calls.backward) == (expected.forward * NUM_IMAGES, 0)
