"""The distance by hand, the regression beside it, and a student that moves to the data's moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.learnable_features import PixelFeatures
from helpers.small_training import Pairs, training_config
from helpers.velocity_field import Field, drawn
from helpers.waits_for_nothing import WaitsForNothing
from pydantic import ValidationError

from pipeline.config.flow import LossConfig
from pipeline.config.methods import AnyStepConfig, FrechetConfig
from pipeline.config.students import StudentConfig
from pipeline.flow.noise import step_generator
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.models.counted import CountedNetwork, NetworkCalls

CPU = torch.device("cpu")


def frechet(mean: list[float], covariance: list[list[float]], **changes: Any) -> Objective:
    target = PixelFeatures(np.array(mean), np.array(covariance))
    return build_method(FrechetConfig(**changes), LossConfig(name="l2"), CPU, features=target)


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 2, generator=step_generator(seed, 0))


def test_its_loss_is_any_steps_and_the_distance_of_fresh_images_to_the_data() -> None:
    """Two pixels are the features, of data N((0.5, 0), diag(4, 1) / 100); the images are (0.1 + 0.02 z, 0.03 z')."""
    scales = torch.tensor([0.02, 0.03])
    network = Field(lambda _, x, *__: torch.tensor([0.1, 0.0]) + (scales - 1) * x)
    changes: dict[str, Any] = {"generated_per_pair": 3, "weight": 0.25, "momentum": 0.5}
    objective = frechet([0.5, 0.0], [[0.04, 0.0], [0.0, 0.01]], **changes)
    batch = drawn(objective, noise(64), 0.1 * noise(64, 1))
    any_step = build_method(AnyStepConfig(share_at_noise=0.75), LossConfig(name="l2"), CPU)
    regression = any_step.loss(network, batch)
    assert batch["fresh_noise"].shape == (64, 3, 2)
    generated = torch.tensor([0.1, 0.0]) + scales * batch["fresh_noise"].flatten(0, 1).double()
    # Tr (Σ_a Σ_b)^{1/2} for Σ_b = diag(4, 1) / 100, from the 2 × 2 identity (Tr M^{1/2})² = Tr M + 2 (det M)^{1/2}.
    covariance = torch.cov(generated.T, correction=0)
    product = covariance @ torch.diag(torch.tensor([0.04, 0.01], dtype=torch.float64))
    root_trace = (product.trace() + 2 * product.det().sqrt()).sqrt()
    offset = generated.mean(dim=0) - torch.tensor([0.5, 0.0])
    distance = offset @ offset + covariance.trace() + 0.05 - 2 * root_trace
    found = objective.loss(network, batch)
    # It is the first batch, of which the moments are all.
    torch.testing.assert_close(found, regression + (0.25 * distance).float())


def test_a_linear_student_moves_to_the_datas_moments() -> None:
    """Images are m + s z, and FD of them to N(0.2, 0.15²), (m - 0.2)² + (|s| - 0.15)², is 0 there alone."""
    network = Field(lambda field, x, *_: field.mean + (field.scale - 1) * x, mean=-0.1, scale=0.05)
    config = FrechetConfig(generated_per_pair=64, weight=1.0, momentum=0.9)
    target = PixelFeatures(np.array([0.2]), np.array([[0.15**2]]))
    objective = build_method(config, LossConfig(name="l2"), CPU, features=target)
    optimizer = torch.optim.Adam(network.parameters())
    x = torch.zeros(8, 1)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 300)
        batch = {"x_0": x, "x_1": x} | objective.draw(x, step_generator(1, step))
        # The regression is taken away: it has optima of its own.
        loss = objective.loss(network, batch) - objective.regression.loss(network, batch)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    # The last ten batches have 512 images each, so standard errors are below 0.15 / 70.
    assert float(network.mean.detach()) == pytest.approx(0.2, abs=0.01)
    assert abs(float(network.scale.detach())) == pytest.approx(0.15, abs=0.01)


def test_features_are_of_images_in_their_range() -> None:
    target = PixelFeatures(np.zeros(2), np.eye(2))
    objective = build_method(FrechetConfig(), LossConfig(name="l2"), CPU, features=target)
    objective.loss(Field(lambda _, x, *__: 9 * x), drawn(objective, noise(16), noise(16, 1)))
    assert (float(target.seen[0].min()), float(target.seen[0].max())) == (-1, 1)


def test_without_gradients_it_is_any_steps_alone_and_changes_no_moments() -> None:
    network = Field(lambda field, x, *_: field.slope * x, slope=0.3)
    objective = frechet([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    batch = drawn(objective, noise(16), noise(16, 1))
    with torch.no_grad():
        found = objective.loss(network, batch)
        assert torch.equal(found, build_method(AnyStepConfig(), LossConfig(name="l2"), CPU).loss(network, batch))
    assert int(objective.state_dict()["count"]) == 0
    objective.loss(network, batch)
    assert int(objective.state_dict()["count"]) == 1


def test_generated_images_are_of_the_classes_of_their_pairs() -> None:
    network = Field(lambda _, x, *__: 0.0 * x)
    objective = frechet([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], generated_per_pair=2)
    objective.loss(network, drawn(objective, noise(4), noise(4, 1), labels=torch.arange(4)))
    assert network.calls[-1].labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert network.calls[-1].gradient


def test_the_ledger_has_every_generated_image_with_its_gradient() -> None:
    calls = NetworkCalls()
    network = CountedNetwork(Field(lambda field, x, *_: field.slope * x, slope=0.3), calls)
    objective = frechet([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], share_at_noise=0.75, generated_per_pair=2)
    objective.loss(network, drawn(objective, noise(64), noise(64, 1))).mean().backward()
    assert calls == NetworkCalls(forward=64 + 16 + 128, backward=64 + 128)


def test_the_host_waits_for_nothing_of_its_own() -> None:
    """On CUDA torch itself waits in eigvalsh, once a step."""
    network = Field(lambda field, x, t, _: (field.slope - t) * x, slope=0.3)
    objective = frechet([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    batch = drawn(objective, noise(16), noise(16, 1))
    with WaitsForNothing():
        objective.loss(network, batch).mean().backward()


def test_moments_of_parts_of_a_batch_are_refused() -> None:
    settings = training_config().model_dump() | {
        "couplings": "a", "init": "teacher", "loss": {"name": "l2"}, "method": {"name": "frechet"},
    }  # fmt: skip
    assert isinstance(StudentConfig.model_validate(settings).method, FrechetConfig)
    with pytest.raises(ValidationError, match=r"gradient_accumulation_steps is 2.*whole batch; set it to 1"):
        StudentConfig.model_validate(settings | {"gradient_accumulation_steps": 2})


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"generated_per_pair": 0}, "greater than 0"),
        ({"weight": 0.0}, "greater than or equal to"),
        ({"weight": float("inf")}, "less than or equal to"),
        ({"momentum": 1.0}, "less than 1"),
        ({"momentum": -0.1}, "greater than or equal to 0"),
        ({"features": "judge"}, "features"),
    ],
)
def test_parameters_out_of_range_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        FrechetConfig(**values)


def test_draws_are_those_of_any_step_and_more() -> None:
    objective, x_1 = frechet([0.0] * 64, np.eye(64).tolist()), Pairs().x_1
    any_step = build_method(AnyStepConfig(share_at_noise=0.75), LossConfig(name="l2"), CPU)
    found, expected = (item.draw(x_1, step_generator(0, 0)) for item in (objective, any_step))
    assert torch.equal(found["t"], expected["t"])
    assert torch.equal(objective.times(found), found["t"])
