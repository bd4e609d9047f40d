from __future__ import annotations

import itertools
from functools import partial
from typing import get_args

import pytest
import torch

from pipeline.config import FlowMatchingConfig, LossConfig, PathConfig, TimestepsConfig
from pipeline.interpolation import (
    PATHS,
    build_path,
    conditional_ot_path,
    conditional_ot_velocity,
    linear_path,
    linear_velocity,
)
from pipeline.losses import l2
from pipeline.noise import step_generator
from pipeline.objectives import FlowMatching, VelocityRegression, build_flow_matching
from pipeline.optimal_transport import pair_by_optimal_transport
from pipeline.timesteps import fixed
from pipeline.weightings import image_error


def pairs(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    x_0, x_1 = torch.randn(2, count, 1, 2, 2, dtype=torch.float64, generator=step_generator(0, 0))
    return x_0, x_1


@pytest.mark.parametrize("sigma_min", [0.0, 0.1])
def test_conditional_ot_path_has_its_ends_and_its_velocity(sigma_min: float) -> None:
    x_0, x_1 = pairs()
    path = build_path(PathConfig(name="conditional_ot", sigma_min=sigma_min))
    zeros, ones, t = torch.zeros(4), torch.ones(4), torch.tensor([0.1, 0.4, 0.5, 0.9], dtype=torch.float64)
    assert torch.equal(path.point(x_0, x_1, zeros), x_0)
    assert torch.allclose(path.point(x_0, x_1, ones), x_1 + sigma_min * x_0)
    step = 1e-4
    difference = (path.point(x_0, x_1, t + step) - path.point(x_0, x_1, t - step)) / (2 * step)
    assert torch.allclose(difference, path.velocity(x_0, x_1), atol=1e-8)


def test_conditional_ot_without_noise_left_is_the_rectified_flows_line() -> None:
    x_0, x_1 = pairs()
    t = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=torch.float64)
    assert torch.allclose(conditional_ot_path(x_0, x_1, t, sigma_min=0.0), linear_path(x_0, x_1, t))
    assert torch.equal(conditional_ot_velocity(x_0, x_1, sigma_min=0.0), linear_velocity(x_0, x_1))


def test_every_path_of_the_configuration_is_in_the_registry() -> None:
    assert set(PathConfig.PARAMETERS) == set(PATHS) == set(get_args(PathConfig.model_fields["name"].annotation))


def test_optimal_transport_finds_the_cheapest_of_all_permutations() -> None:
    x_0, x_1 = pairs(6)
    ordered = pair_by_optimal_transport(x_0, x_1)
    cheapest = min((x_1 - x_0[list(order)]).square().sum() for order in itertools.permutations(range(6)))
    assert (x_1 - ordered).square().sum().item() == pytest.approx(cheapest.item())
    assert cheapest < (x_1 - x_0).square().sum()
    rows = {tuple(row.flatten().tolist()) for row in x_0}
    assert {tuple(row.flatten().tolist()) for row in ordered} == rows


def flow(coupling: str) -> FlowMatching:
    return build_flow_matching(
        FlowMatchingConfig(loss=LossConfig(name="l2"), timesteps=TimestepsConfig(name="uniform"), coupling=coupling)
    )


def test_flow_matching_pairs_images_with_fresh_noise_and_ot_only_reorders_it() -> None:
    x_1 = pairs(8)[1].float()
    independent = flow("independent").draw(x_1, step_generator(3, 1))
    transported = flow("minibatch_ot").draw(x_1, step_generator(3, 1))
    assert torch.equal(independent["t"], transported["t"])
    assert torch.equal(transported["x_0"], pair_by_optimal_transport(independent["x_0"], x_1))
    assert not torch.equal(independent["x_0"], flow("independent").draw(x_1, step_generator(3, 2))["x_0"])
    assert (flow("independent").needs_images, flow("minibatch_ot").needs_images) == (False, True)


def test_the_loss_is_that_of_the_paths_velocity_weighted_by_t() -> None:
    class Still(torch.nn.Module):
        """Predicts no motion, and keeps what it was asked."""

        def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> object:
            self.asked = x, timestep
            return type("Output", (), {"sample": torch.zeros_like(x)})

    x_0, x_1 = pairs()
    path = build_path(PathConfig(name="conditional_ot", sigma_min=0.2))
    objective = VelocityRegression(partial(fixed, t=0.25), l2, image_error, path)
    batch = {"x_0": x_0, "x_1": x_1, **objective.draw(x_1, step_generator(0, 0))}
    network = Still()
    expected = 0.75**2 * (x_1 - 0.8 * x_0).square().flatten(1).mean(dim=1)
    assert torch.allclose(objective.loss(network, batch).double(), expected, rtol=1e-5)
    asked, timestep = network.asked
    assert torch.allclose(asked, 0.8 * x_0 + 0.25 * x_1)
    assert timestep.tolist() == [750.0] * 4
