"""The same image from all along an ODE: optima in closed form, the schedule of steps, and settings."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.velocity_field import Field, drawn
from helpers.waits_for_nothing import WaitsForNothing
from pydantic import ValidationError

from pipeline.config.flow import LossConfig
from pipeline.config.methods import ConsistencyConfig
from pipeline.config.noise import NoiseConfig
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import step_generator
from pipeline.flow.paths import per_sample
from pipeline.flow.timesteps import uniform
from pipeline.methods.build import build_method
from pipeline.methods.consistency import Consistency
from pipeline.methods.consistency_schedule import Schedule
from pipeline.methods.objective import Objective
from pipeline.models.ode import Ode
from pipeline.toys.gaussian_mixture import GaussianMixture

CPU = torch.device("cpu")
X_0, X_1 = torch.randn(2, 256, 3, generator=step_generator(0, 0))
UNIFORM = {"name": "uniform"}


def consistency(init: Ode, **settings: object) -> Objective:
    config = ConsistencyConfig.model_validate({"timesteps": UNIFORM} | settings)
    return build_method(config, LossConfig(name="l2"), CPU, init=init)


def expected_times(t: float, stage: int, shrink: float = 2.0, first: float = 1 / 81) -> tuple[float, float, float]:
    """s, σ_t and σ_s, written out in noise levels for one sample."""
    sigma = (1 - max(t, first)) / max(t, first)
    next_sigma = max(0.0, sigma * (1 - (1 + 8 / (1 + math.exp(sigma))) / shrink ** (stage + 1)))
    return 1 / (1 + next_sigma), sigma, next_sigma


@pytest.mark.parametrize("ode_solver", ["heun", "euler"])
@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_of_straight_trajectories_their_own_velocity_is_the_optimum(ode_solver: str, progress: float) -> None:
    """On x_t = (1 + b t) x_0 the velocity b x / (1 + b t) is constant: a step and the image from it are exact."""
    b = -0.6
    objective = consistency(Ode(lambda x, t, _: per_sample(b / (1 + b * t), x) * x), ode_solver=ode_solver)
    batch = drawn(objective, X_0, X_1, progress=progress)
    network = Field(lambda field, x, t, _: (b + field.error) / (1 + b * t) * x, error=0.0)
    losses = objective.loss(network, batch)
    losses.mean().backward()
    assert losses.max() < 1e-6
    assert network.error.grad.abs() < 1e-3
    wrong = Field(lambda field, x, t, _: (b + field.error) / (1 + b * t) * x, error=0.1)
    assert objective.loss(wrong, batch).mean() > 1e-4
    # The first call is the student's own at the next state, without a gradient.
    assert [call.gradient for call in network.calls] == [False, True]


def test_of_gaussian_images_short_steps_teach_where_trajectories_end() -> None:
    """For N(0, s²) images they keep x / V with V(t) = √((1 - t)² + t² s²), so f(x, t) = s x / V.

    An image that is off by the factor 1 + e (1 - t) is right at t = 1 and differs along a trajectory.
    """
    s = 0.5
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 3), torch.full((1,), s))
    ode = Ode(lambda x, t, _: mixture.velocity(x, t))

    def exact(field: torch.nn.Module, x: torch.Tensor, t: torch.Tensor, _: object) -> torch.Tensor:
        spread = ((1 - t) ** 2 + (t * s) ** 2).sqrt()
        return ((1 + field.error * (1 - t)) * s / spread - 1) / (1 - t).clamp(min=1e-6) * x

    missed = {}
    for num_stages in (2, 5, 8):
        objective = consistency(ode, num_stages=num_stages)
        batch = drawn(objective, X_0, X_1, progress=1.0)
        network = Field(exact, error=0.0)
        objective.loss(network, batch).mean().backward()
        # The error at which the gradient is 0, by Newton's method.
        further = Field(exact, error=1e-2)
        objective.loss(further, batch).mean().backward()
        curvature = (further.error.grad - network.error.grad) / 1e-2
        missed[num_stages] = float(network.error.grad / curvature)
    assert abs(missed[8]) < 1e-3
    assert abs(missed[8]) < abs(missed[5]) < abs(missed[2])


@pytest.mark.parametrize(("progress", "stage"), [(0.0, 0), (0.124, 0), (0.125, 1), (0.99, 7), (1.0, 7)])
def test_a_step_is_as_long_as_easy_consistency_tuning_has_it(progress: float, stage: int) -> None:
    objective, c = consistency(Ode(lambda x, *_: torch.full_like(x, 2.0))), 2.0
    batch = drawn(objective, X_0, X_1, progress=progress)
    batch["t"][:2] = torch.tensor([0.0, 0.5])
    network = Field(lambda _, x, *__: 0 * x)
    losses = objective.loss(network, batch)
    for row, t in enumerate(batch["t"].tolist()):
        s, sigma, next_sigma = expected_times(t, stage)
        assert float(1 - network.calls[0].timestep[row] / 1000) == pytest.approx(s, abs=2e-6)
        # Without motion an image is its state: x_s - x_t = c (s - t), as a velocity over the 1 - t that is left.
        error = c * (s - t) / (1 - t)
        assert float(losses[row]) == pytest.approx((1 - t) / (sigma - next_sigma) * error**2, rel=2e-2)


def test_the_last_step_of_an_ode_leads_to_the_image_and_its_velocity_there_is_not_asked_for() -> None:
    """In the first stage low noise has σ' = 0, s = 1; f(x, 1) = x, whatever the student predicts there."""
    seen = []

    def velocity(x: torch.Tensor, t: torch.Tensor, _: object) -> torch.Tensor:
        seen.append(t)
        return per_sample(torch.where(t < 1, 3.0, 100.0), x).expand_as(x)

    objective = consistency(Ode(velocity))
    batch = drawn(objective, X_0, X_1)
    batch["t"] = torch.full((256,), 0.8)
    network = Field(lambda _, x, t, __: torch.where(t < 1, 0, 7.0) + 0 * x)
    losses = objective.loss(network, batch)
    assert torch.equal(seen[1], torch.ones(256))
    assert torch.equal(network.calls[0].timestep, torch.zeros(256))
    # The velocity to the image is 3; the weight (1 - t) / (σ_t - 0) is t.
    torch.testing.assert_close(losses, torch.full((256,), 0.8 * 9.0))


def test_a_perceptual_distance_compares_the_two_images_and_is_divided_by_the_difference_of_levels() -> None:
    perceptual = VelocityLoss(lambda a, b: 0 * l2(a, b), perceptual=lambda a, b: (a - b).abs().mean(dim=1))
    objective = Consistency(uniform, perceptual, Schedule(2.0, 8), False, Ode(lambda x, *_: torch.ones_like(x)))
    batch = drawn(objective, X_0, X_1, progress=0.5)
    losses = objective.loss(Field(lambda _, x, *__: 0 * x), batch)
    for loss, t in zip(losses.tolist(), batch["t"].tolist(), strict=True):
        s, sigma, next_sigma = expected_times(t, stage=4)
        # The loss divides by at least 0.001 of time.
        assert loss == pytest.approx((s - t) / (sigma - next_sigma), rel=2e-2) or 1 - t < 2e-3


def test_times_are_pure_noise_or_levels_from_80_to_0_002_within_those_of_the_ode() -> None:
    count = 50_000
    for first, last in ((0.0, 1.0), (0.1, 0.99)):
        ode = Ode(lambda x, *_: x, NoiseConfig(mean=(1.0, -2.0), std=0.5), first_time=first, last_time=last)
        found = build_method(ConsistencyConfig(), LossConfig(name="l2"), CPU, init=ode).draw(
            torch.empty(count, 2), step_generator(0, 0)
        )
        t = found["t"]
        later = t[t > 0]
        assert later.min() >= max(1 / 81, first)
        assert later.max() == pytest.approx(min(1 / 1.002, last))
        # log σ is normal with mean -1.1 and deviation 2: so many are above the first level.
        level = math.log((1 - max(1 / 81, first)) / max(1 / 81, first))
        share = 0.5 * math.erfc((level + 1.1) / 2 / 2**0.5)
        assert abs(int((t == 0).sum()) - count * share) < 4 * (count * share) ** 0.5
        # The median of t is that of its logit, 1.1; the median of n normal values is known to √(π / 2n) deviations.
        assert abs(float(t.median().logit()) - 1.1) < 4 * 2 * (math.pi / (2 * count)) ** 0.5
        assert ((found["x_0"].mean(dim=0) - torch.tensor([1.0, -2.0])).abs() < 4 * 0.5 / count**0.5).all()


@pytest.mark.parametrize("ode_solver", ["heun", "euler"])
def test_classes_reach_both_models_and_the_host_waits_for_nothing(ode_solver: str) -> None:
    labels, seen = torch.arange(256) % 3, []
    weight = torch.nn.Parameter(torch.tensor(0.5))

    def velocity(x: torch.Tensor, _t: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
        seen.append((torch.is_grad_enabled(), classes))
        return weight * x

    objective = consistency(Ode(velocity), ode_solver=ode_solver)
    batch = drawn(objective, X_0, X_1, labels=labels)
    network = Field(lambda field, x, *_: field.slope * x, slope=0.3)
    with WaitsForNothing():
        objective.loss(network, batch).mean().backward()
    assert weight.grad is None
    assert not any(gradient for gradient, _ in seen)
    assert all(torch.equal(classes, labels) for _, classes in seen)
    assert all(torch.equal(call.labels, labels) for call in network.calls)
    assert torch.isfinite(network.slope.grad)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"shrink": 1.0}, "greater than 1"),
        ({"shrink": float("inf")}, "shrink"),
        ({"num_stages": 0}, "greater than 0"),
        ({"shrink": 4.0, "num_stages": 11}, r"shrink 4 over 11 stages makes the last step more than 1,048,576 times"),
        ({"ode_solver": "unipc"}, "'heun' or 'euler'"),
        ({"timesteps": {"name": "uniform", "a": 1.0}}, "uniform takes no a"),
    ],
)
def test_settings_of_no_schedule_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ConsistencyConfig.model_validate(settings)
    ConsistencyConfig(shrink=4.0, num_stages=10)
