"""The closed forms against sampling, and every numeric tool against the closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.mixture_field import MixtureField

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.flow.noise import place_noise
from pipeline.flow.solvers import dopri5, euler, heun, uniform_grid
from pipeline.metrics.likelihood import log_likelihood, velocity_and_divergence
from pipeline.models.student import predict_velocity
from pipeline.toys.distributions import TOYS
from pipeline.toys.gaussian_mixture import GaussianMixture

SHIFTED = NoiseConfig(mean=(0.0, -5.0), std=0.7)


def mixture(dim: int = 2) -> GaussianMixture:
    means = torch.tensor([[-2.0, 1.0], [1.5, 0.5]], dtype=torch.float64)[:, :dim]
    return GaussianMixture(torch.tensor([0.3, 0.7]).double(), means, torch.tensor([0.5, 0.8]).double())


def test_the_density_integrates_to_one_and_has_the_mixtures_mean() -> None:
    axis = torch.linspace(-8, 8, 801, dtype=torch.float64)[:, None]
    density = mixture(1).log_prob(axis).exp()
    assert float(torch.trapezoid(density, axis[:, 0])) == pytest.approx(1, abs=1e-6)
    assert float(torch.trapezoid(density * axis[:, 0], axis[:, 0])) == pytest.approx(0.3 * -2 + 0.7 * 1.5, abs=1e-6)


def test_between_two_gaussians_the_velocity_is_the_known_linear_one() -> None:
    """x_t = m_t + s_t z with s_t² = (1 - t)² + t² s², so v = m' + (s_t'/s_t)(x - m_t), s_t s_t' = t s² - (1 - t)."""
    target = GaussianMixture(torch.ones(1), torch.tensor([[5.0, 0.0]]), torch.tensor([0.5]))
    noise = NoiseConfig(mean=(0.0, -5.0))
    x, t = torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([0.25, 0.6])
    start, end = torch.tensor([0.0, -5.0]), torch.tensor([5.0, 0.0])
    variance = (1 - t) ** 2 + (0.5 * t) ** 2
    mean = (1 - t)[:, None] * start + t[:, None] * end
    expected = end - start + ((t * 0.25 - (1 - t)) / variance)[:, None] * (x - mean)
    torch.testing.assert_close(target.velocity(x, t, noise), expected)


@pytest.mark.parametrize("noise", [STANDARD_NOISE, SHIFTED])
def test_the_velocity_is_the_mean_of_pairs_that_pass_nearby(noise: NoiseConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    num, t = 2_000_000, 0.6
    x_1 = mixture().sample(num, generator)
    x_0 = place_noise(torch.randn(num, 2, generator=generator, dtype=torch.float64), noise)
    x_t, velocity = torch.lerp(x_0, x_1, t), x_1 - x_0
    centre = x_t.mean(dim=0)
    near = (x_t - centre).norm(dim=1) < 0.1
    standard_error = velocity[near].std(dim=0) / int(near.sum()) ** 0.5
    exact = mixture().velocity(x_t[near], torch.full((int(near.sum()),), t), noise)
    difference = (velocity[near] - exact).mean(dim=0)
    assert (difference.abs() < 4 * standard_error).all(), (difference, standard_error)


def test_a_wrong_field_would_be_seen() -> None:
    x, t = torch.zeros(3, 2, dtype=torch.float64), torch.full((3,), 0.6)
    assert (mixture().velocity(x, t) - mixture().velocity(x, t, SHIFTED)).abs().min() > 0.1


@pytest.mark.parametrize("noise", [STANDARD_NOISE, SHIFTED])
def test_the_flow_of_the_field_carries_noise_to_the_mixture(noise: NoiseConfig) -> None:
    generator = torch.Generator().manual_seed(1)
    x_0 = place_noise(torch.randn(4000, 2, generator=generator, dtype=torch.float64), noise)
    x_1 = dopri5(lambda x, t: mixture().velocity(x, t, noise), x_0, rtol=1e-5, atol=1e-5).x
    exact = mixture().sample(4000, generator)
    assert torch.allclose(x_1.mean(dim=0), exact.mean(dim=0), atol=5 * float(exact.std()) * (2 / 4000) ** 0.5)
    assert torch.allclose(x_1.T.cov(), exact.T.cov(), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
def test_solvers_converge_at_their_order_on_the_exact_field(solver, order: int) -> None:
    x_0 = torch.randn(64, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    exact = dopri5(mixture().velocity, x_0, rtol=1e-10, atol=1e-10).x
    errors = [float((solver(mixture().velocity, x_0, uniform_grid(n)).x - exact).norm()) for n in (64, 128)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("noise", [STANDARD_NOISE, SHIFTED])
def test_log_likelihood_equals_the_closed_form(noise: NoiseConfig) -> None:
    x_1 = mixture().sample(64, torch.Generator().manual_seed(3))
    found = log_likelihood(lambda x, t: mixture().velocity(x, t, noise), x_1, noise, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(found, mixture().log_prob(x_1), rtol=1e-4, atol=1e-4)


def test_the_divergence_of_a_linear_field_is_its_trace() -> None:
    matrix = torch.tensor([[1.0, 2.0], [3.0, -5.0]])
    velocity, divergence = velocity_and_divergence(
        lambda x, t: t[:, None] * x @ matrix.T, torch.ones(4, 2), torch.full((4,), 0.5)
    )
    torch.testing.assert_close(velocity, 0.5 * torch.ones(4, 2) @ matrix.T)
    torch.testing.assert_close(divergence, torch.full((4,), -2.0))


@pytest.mark.parametrize("noise", [STANDARD_NOISE, SHIFTED])
def test_the_exact_field_is_called_like_a_network(noise: NoiseConfig) -> None:
    x, t = torch.randn(5, 2, generator=torch.Generator().manual_seed(4)), torch.linspace(0, 1, 5)
    found = predict_velocity(MixtureField(mixture(), noise), x, t)
    torch.testing.assert_close(found, mixture().velocity(x, t, noise), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TOYS)
def test_samples_of_every_toy_are_reproducible_and_lie_where_they_should(name: str) -> None:
    toy = TOYS[name]
    points = toy.sample(4000, torch.Generator().manual_seed(5))
    assert points.shape == (4000, toy.dim)
    assert torch.equal(points, toy.sample(4000, torch.Generator().manual_seed(5)))
    low, high = toy.extent
    assert float(((points >= low) & (points <= high)).all(dim=1).float().mean()) > 0.99
    if toy.inside is not None:
        assert toy.inside(points).all()
        whole = 8 * torch.rand(4000, 2, generator=torch.Generator().manual_seed(6)) - 4
        assert float(toy.inside(whole).float().mean()) == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)
        assert not toy.inside(whole + 8).any()
    if toy.mixture is not None:
        mean = (toy.mixture.weights[:, None] * toy.mixture.means).sum(dim=0)
        assert (points.mean(dim=0) - mean).abs().max() < 5 * float(points.std(dim=0).max()) / 4000**0.5
