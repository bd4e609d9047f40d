from __future__ import annotations

import importlib.machinery
import itertools
import sys
from functools import partial

import pytest
import torch

from pipeline.config.flow import LossConfig, PathConfig, TimestepsConfig
from pipeline.config.methods import FixedStepsConfig, ReflowConfig
from pipeline.flow import losses
from pipeline.flow.losses import VelocityLoss, image_error, l2, load_lpips
from pipeline.flow.noise import step_generator
from pipeline.flow.optimal_transport import pair_by_optimal_transport
from pipeline.flow.paths import (
    PATHS,
    build_path,
    conditional_ot_path,
    conditional_ot_velocity,
    linear_path,
    linear_velocity,
)
from pipeline.flow.timesteps import fixed
from pipeline.methods.build import build_method
from pipeline.methods.reflow import Reflow
from pipeline.system.errors import StraightflowError


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
    assert set(PathConfig.PARAMETERS) == set(PATHS)


def test_optimal_transport_finds_the_cheapest_of_all_permutations() -> None:
    x_0, x_1 = pairs(6)
    ordered = pair_by_optimal_transport(x_0, x_1)
    cheapest = min((x_1 - x_0[list(order)]).square().sum() for order in itertools.permutations(range(6)))
    assert (x_1 - ordered).square().sum().item() == pytest.approx(cheapest.item())
    assert cheapest < (x_1 - x_0).square().sum()
    rows = {tuple(row.flatten().tolist()) for row in x_0}
    assert {tuple(row.flatten().tolist()) for row in ordered} == rows


class Still(torch.nn.Module):
    """Predicts no motion, and keeps what it was asked."""

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> object:
        self.asked = x, timestep
        return type("Output", (), {"sample": torch.zeros_like(x)})


def test_the_loss_is_that_of_the_paths_velocity_weighted_by_t() -> None:
    x_0, x_1 = pairs()
    path = build_path(PathConfig(name="conditional_ot", sigma_min=0.2))
    objective = Reflow(partial(fixed, t=0.25), VelocityLoss(l2), image_error, path)
    batch = {"x_0": x_0, "x_1": x_1, **objective.draw(x_1, step_generator(0, 0))}
    network = Still()
    expected = 0.75**2 * (x_1 - 0.8 * x_0).square().flatten(1).mean(dim=1)
    assert torch.allclose(objective.loss(network, batch).double(), expected, rtol=1e-5)
    asked, timestep = network.asked
    assert torch.allclose(asked, 0.8 * x_0 + 0.25 * x_1)
    assert timestep.tolist() == [750.0] * 4


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_a_perceptual_distance_compares_the_images_led_to_and_is_divided_by_the_time_left(t: float) -> None:
    x_0, x_1 = (values.float() for values in pairs())
    objective = Reflow(
        partial(fixed, t=t), VelocityLoss(l2, perceptual=lambda a, b: (a - b).abs().flatten(1).sum(dim=1))
    )
    batch = {"x_0": x_0, "x_1": x_1, **objective.draw(x_1, step_generator(0, 0))}
    # Without motion x_t is where one ends, (1 - t)(x_1 - x_0) away from the image; dividing by 1 - t leaves x_1 - x_0.
    regression = (x_1 - x_0).square().flatten(1).mean(dim=1)
    perceptual = (x_1 - x_0).abs().flatten(1).sum(dim=1) if t < 1 else torch.zeros(4)
    assert torch.allclose(objective.loss(Still(), batch), t * regression + perceptual, rtol=1e-4)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.75])
def test_lpips_huber_is_the_loss_of_the_published_code(monkeypatch, t: float) -> None:
    def distance(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        return (images - others).abs().flatten(1).mean(dim=1)

    monkeypatch.setattr(losses, "load_lpips", lambda _: distance)
    x_0, x_1 = (values.float() for values in pairs())
    d = x_1[0].numel()
    config = ReflowConfig(timesteps=TimestepsConfig(name="fixed", t=t))
    objective = build_method(config, LossConfig(name="lpips_huber", c=0.00054 * d**0.5), torch.device("cpu"))
    batch = {"x_0": x_0, "x_1": x_1, **objective.draw(x_1, step_generator(0, 0))}
    # sangyun884/rfpp, train.py: time runs from image (0) to noise (1), velocity is noise - image, c' = 0.00054 d.
    noise_time, velocity, target = 1 - t, torch.zeros_like(x_1), x_0 - x_1
    z_t = (1 - noise_time) * x_1 + noise_time * x_0
    huber = (((velocity - target) ** 2).sum(dim=(1, 2, 3)) + (0.00054 * d) ** 2).sqrt() - 0.00054 * d
    expected = (1 - noise_time) * huber / d + distance(z_t - velocity * noise_time, x_1) / noise_time
    assert torch.allclose(objective.loss(Still(), batch), expected, rtol=1e-4)


def test_lpips_without_its_package_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(StraightflowError, match=r"pip install -e '.\[lpips\]'"):
        build_method(FixedStepsConfig(), LossConfig(name="lpips_huber", c=0.03), torch.device("cpu"))


def test_lpips_sees_enlarged_images_and_grey_ones_as_colour(monkeypatch) -> None:
    class Package:
        __spec__ = importlib.machinery.ModuleSpec("lpips", None)

        class LPIPS(torch.nn.Module):
            def __init__(self, net: str, verbose: bool) -> None:
                super().__init__()
                assert (net, verbose) == ("vgg", False)

            def forward(self, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
                assert images.shape[1:] == others.shape[1:] == (3, 224, 224)
                return (images - others).square().mean(dim=(1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", Package)
    distance = load_lpips(torch.device("cpu"))
    ones = torch.ones(2, 1, 8, 8)
    assert distance(ones, -ones).tolist() == [4.0, 4.0]
