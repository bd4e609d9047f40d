from __future__ import annotations

import math

import pytest
import torch

from pipeline.losses import l2, pseudo_huber
from pipeline.noise import step_generator
from pipeline.timesteps import fixed, u_shaped, uniform


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


def test_uniform_and_fixed() -> None:
    t = uniform(100_000, step_generator(0, 1))
    assert t.mean().item() == pytest.approx(0.5, abs=0.005)
    assert fixed(3, step_generator(0, 0), t=0.0).tolist() == [0.0, 0.0, 0.0]
