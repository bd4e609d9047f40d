"""Two steps of an ODE as one: optima in closed form, the start of a diffusion model, and the chain of students."""

from __future__ import annotations

import pytest
import torch
from helpers.velocity_field import Field, drawn
from helpers.waits_for_nothing import WaitsForNothing

from pipeline.config.flow import LossConfig
from pipeline.config.methods import ProgressiveConfig
from pipeline.config.noise import NoiseConfig
from pipeline.flow.noise import step_generator
from pipeline.flow.paths import per_sample
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.models.ode import Ode
from pipeline.toys.gaussian_mixture import GaussianMixture

CPU = torch.device("cpu")
X_0, X_1 = torch.randn(2, 64, 3, generator=step_generator(0, 0))


def progressive(num_steps: int, init: Ode) -> Objective:
    return build_method(ProgressiveConfig(num_steps=num_steps), LossConfig(name="l2"), CPU, init=init)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_of_a_linear_ode_two_half_steps_are_learned_without_a_loss_left(num_steps: int) -> None:
    """Two Euler steps h = 1/(2N) of dx/dt = a x multiply by (1 + a h)²; as one step, the slope is a + a² / (4 N)."""
    a, states = -0.8, []
    objective = progressive(num_steps, Ode(lambda x, t, _: states.append((x, t)) or a * x))
    batch = drawn(objective, X_0, X_1)
    best = a + a**2 / (4 * num_steps)
    network = Field(lambda field, x, *_: field.slope * x, slope=best)
    losses = objective.loss(network, batch)
    losses.mean().backward()
    assert losses.max() < 1e-9
    assert network.slope.grad.abs() < 1e-5
    worse = Field(lambda field, x, *_: field.slope * x, slope=best + 0.5)
    x_t, t = network.calls[0].x, batch["t"]
    torch.testing.assert_close(objective.loss(worse, batch), 0.25 * x_t.square().mean(dim=1))
    # The states are between the batch's image and the drawn noise, not the pair's.
    torch.testing.assert_close(x_t, per_sample(1 - t, X_0) * batch["x_0"] + per_sample(t, X_0) * X_1)
    assert not torch.equal(batch["x_0"], X_0)
    torch.testing.assert_close(states[1][1], t + 0.5 / num_steps)


def test_of_gaussian_images_the_best_slope_at_each_time_is_that_of_two_steps() -> None:
    """For N(0, s²) images the ODE is dx/dt = c(t) x with c = (t s² - (1 - t)) / ((1 - t)² + t² s²)."""
    s, num_steps = 0.6, 4
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 3), torch.full((1,), s))
    objective = progressive(num_steps, Ode(lambda x, t, _: mixture.velocity(x, t)))

    def slope(t: torch.Tensor) -> torch.Tensor:
        return (t * s**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * s**2)

    def best(t: torch.Tensor) -> torch.Tensor:
        half = 0.5 / num_steps
        return num_steps * ((1 + half * slope(t)) * (1 + half * slope(t + half)) - 1)

    network = Field(lambda field, x, t, _: (best(t) + field.error) * x, error=0.0)
    losses = objective.loss(network, drawn(objective, X_0, X_1))
    losses.mean().backward()
    assert losses.max() < 1e-9
    assert network.error.grad.abs() < 1e-5


def test_noise_of_a_diffusion_model_starts_at_its_noisiest_level_in_its_scale() -> None:
    """One step to 1 of v = 1 / t, which has no value at 0: from 0.9 x at t = 0.2 over t = 0.5 to the end."""
    objective = progressive(1, Ode(lambda x, t, _: per_sample(1 / t, x).expand_as(x), first_time=0.2, start_scale=0.9))
    batch = drawn(objective, X_0, X_1)
    end = 0.9 * batch["x_0"] + (0.5 - 0.2) / 0.2 + 0.5 / 0.5
    losses = objective.loss(Field(lambda _, x, *__: 0 * x), batch)
    torch.testing.assert_close(losses, (end - batch["x_0"]).square().mean(dim=1))


def test_times_are_where_steps_start_and_noise_is_of_the_ode() -> None:
    count = 20_000
    ode = Ode(lambda x, *_: x, NoiseConfig(mean=(1.0, -2.0), std=0.5))
    found = progressive(4, ode).draw(torch.empty(count, 2), step_generator(0, 0))
    times, counts = found["t"].unique(return_counts=True)
    assert times.tolist() == [0, 0.25, 0.5, 0.75]
    assert ((counts - count / 4).abs() < 4 * (count * 3 / 16) ** 0.5).all()
    assert ((found["x_0"].mean(dim=0) - torch.tensor([1.0, -2.0])).abs() < 4 * 0.5 / count**0.5).all()
    assert ((found["x_0"].std(dim=0) - 0.5).abs() < 4 * 0.5 / (2 * count) ** 0.5).all()


def test_the_initial_model_sees_classes_and_gets_no_gradient_and_the_host_waits_for_nothing() -> None:
    labels, seen = torch.arange(64) % 3, []
    weight = torch.nn.Parameter(torch.tensor(0.5))

    def velocity(x: torch.Tensor, _t: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
        seen.append((torch.is_grad_enabled(), classes))
        return weight * x

    objective = progressive(2, Ode(velocity))
    batch = drawn(objective, X_0, X_1, labels=labels)
    network = Field(lambda field, x, *_: field.slope * x, slope=0.3)
    with WaitsForNothing():
        objective.loss(network, batch).mean().backward()
    assert [gradient for gradient, _ in seen] == [False, False]
    assert all(torch.equal(classes, labels) for _, classes in seen)
    assert weight.grad is None
    assert torch.equal(network.calls[0].labels, labels)
