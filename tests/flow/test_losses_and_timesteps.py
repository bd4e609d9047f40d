from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from pipeline.config.flow import WEIGHTINGS as WEIGHTING_NAMES
from pipeline.config.flow import LossConfig, TimestepsConfig
from pipeline.flow.losses import LOSSES, WEIGHTINGS, build_loss, cosmap, image_error, l2, pseudo_huber
from pipeline.flow.noise import step_generator
from pipeline.flow.timesteps import DISTRIBUTIONS, build_timesteps, exponential, fixed, logit_normal, u_shaped, uniform


def test_l2_is_the_mean_square_of_each_sample() -> None:
    prediction = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])
    assert l2(prediction, torch.zeros_like(prediction)).tolist() == [12.5, 2.0]


def test_pseudo_huber_matches_its_formula() -> None:
    error = torch.tensor([[3.0, 4.0, 0.0, 0.0]])
    c, d = 0.5, 4
    expected = (math.sqrt(25 + c**2 * d) - c * math.sqrt(d)) / math.sqrt(d)
    assert pseudo_huber(error, torch.zeros_like(error), c=c).item() == pytest.approx(expected)


@pytest.mark.parametrize("a", [1.0, 4.0])
def test_u_shaped_has_its_density(a: float) -> None:
    count = 200_000
    t = u_shaped(count, step_generator(0, 0), a=a)
    assert t.min() >= 0
    assert t.max() <= 1
    # Distribution function of e^{-at} + e^{-a(1-t)}, normalised on [0, 1].
    for q in (0.05, 0.25, 0.5, 0.9):
        total = 2 * (1 - math.exp(-a))
        expected = ((1 - math.exp(-a * q)) + (math.exp(-a * (1 - q)) - math.exp(-a))) / total
        assert (t < q).double().mean().item() == pytest.approx(expected, abs=5 * 0.5 / count**0.5)


def test_uniform_has_its_quantiles() -> None:
    count = 200_000
    t = uniform(count, step_generator(0, 1))
    assert t.min() >= 0
    assert t.max() < 1
    for q in (0.05, 0.25, 0.5, 0.9):
        assert (t < q).double().mean().item() == pytest.approx(q, abs=5 * 0.5 / count**0.5)


def test_fixed_is_always_the_same_time() -> None:
    assert fixed(3, step_generator(0, 0), t=0.25).tolist() == [0.25, 0.25, 0.25]


@pytest.mark.parametrize("a", [-4.0, -0.01, 2.0])
def test_exponential_has_its_density(a: float) -> None:
    count = 200_000
    t = exponential(count, step_generator(0, 0), a=a)
    assert t.min() >= 0
    assert t.max() <= 1
    for q in (0.05, 0.25, 0.5, 0.9):
        expected = (math.exp(a * q) - 1) / (math.exp(a) - 1)
        assert (t < q).double().mean().item() == pytest.approx(expected, abs=5 * 0.5 / count**0.5)


def test_logit_normal_has_its_quantiles() -> None:
    count, mean, std = 200_000, -0.5, 0.8
    t = logit_normal(count, step_generator(0, 0), mean=mean, std=std)
    for q in (0.1, 0.5, 0.9):
        z = (math.log(q / (1 - q)) - mean) / std
        expected = 0.5 * (1 + math.erf(z / math.sqrt(2)))
        assert (t < q).double().mean().item() == pytest.approx(expected, abs=5 * 0.5 / count**0.5)


def test_both_published_pseudo_huber_constants_are_reachable() -> None:
    d = 3 * 32 * 32
    error = torch.full((1, 3, 32, 32), 0.01)
    norm_squared = d * 0.01**2
    for published, c in ((0.00054 * math.sqrt(d), 0.00054), (0.00054 * d, 0.00054 * math.sqrt(d))):
        expected = (math.sqrt(norm_squared + published**2) - published) / math.sqrt(d)
        loss = build_loss(LossConfig(name="pseudo_huber", c=c))
        assert loss(error, torch.zeros_like(error)).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.8, 1.0])
def test_cosmap_is_the_density_of_the_cosine_schedule(q: float) -> None:
    # t = 1 - 1 / (tan(πu/2) + 1) with u uniform (Esser et al. 2024, sec. 3.1), solved for u; the density's integral to
    # q by the midpoint rule.
    expected = 2 / math.pi * math.atan2(q, 1 - q)
    middles = q * (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    assert q * cosmap(middles).mean().item() == pytest.approx(expected, rel=1e-6)


def test_weightings_have_their_values() -> None:
    t = torch.tensor([0.0, 0.5, 1.0])
    assert cosmap(t).tolist() == pytest.approx([2 / math.pi, 4 / math.pi, 2 / math.pi])
    assert WEIGHTINGS["uniform"](t).tolist() == [1, 1, 1]


def test_image_error_makes_the_loss_of_velocities_that_of_images() -> None:
    t = torch.tensor([0.0, 0.5, 1.0])
    # L2 of the image a velocity leads to is the weighted L2 of the velocity.
    x_t, v, u = torch.randn(3, 3, 4, generator=step_generator(0, 0)).unbind(0)
    reached, wanted = (x_t + (1 - t).reshape(-1, 1) * velocity for velocity in (v, u))
    assert torch.allclose(l2(reached, wanted), image_error(t) * l2(v, u))


def test_every_name_of_the_configuration_is_in_its_registry() -> None:
    assert set(LossConfig.PARAMETERS) == set(LOSSES)
    assert set(TimestepsConfig.PARAMETERS) == set(DISTRIBUTIONS)
    assert set(WEIGHTING_NAMES) == set(WEIGHTINGS)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="'pseudo_hubr', which does not exist; did you mean 'pseudo_huber'"):
        LossConfig(name="pseudo_hubr", c=0.1)


def test_parameters_must_be_those_of_the_name() -> None:
    sampler = build_timesteps(TimestepsConfig(name="fixed", t=0.25))
    assert sampler(2, step_generator(0, 0)).tolist() == [0.25, 0.25]
    with pytest.raises(ValidationError, match="u_shaped needs a"):
        TimestepsConfig(name="u_shaped")
    with pytest.raises(ValidationError, match="uniform takes no a"):
        TimestepsConfig(name="uniform", a=4.0)
    with pytest.raises(ValidationError, match="exponential with a = 0"):
        TimestepsConfig(name="exponential", a=0.0)
    with pytest.raises(ValidationError, match="l2 takes no c"):
        LossConfig(name="l2", c=0.1)
