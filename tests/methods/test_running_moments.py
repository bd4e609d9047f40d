"""Moments over steps: averages at first, then blended; and their state."""

from __future__ import annotations

import pytest
import torch

from pipeline.methods.running_moments import RunningMoments

CPU = torch.device("cpu")


def batches(count: int, num_features: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [1 + torch.randn(16, num_features, generator=generator, dtype=torch.float64) for _ in range(count)]


def population_moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return features.mean(dim=0), torch.cov(features.T, correction=0)


def test_the_first_batches_are_averaged_as_if_they_were_one() -> None:
    running, given = RunningMoments(3, 0.75, CPU), batches(4)
    for number, features in enumerate(given, start=1):
        blended = running.blend(features)
        assert blended.share == 1 / number
        mean, covariance = population_moments(torch.cat(given[:number]))
        torch.testing.assert_close(blended.mean, mean)
        torch.testing.assert_close(blended.covariance, covariance)


def test_later_ones_are_blended_with_a_weight_that_falls_by_the_momentum_a_step() -> None:
    """After n batches those since the average weigh 1/4 · (3/4)^age, and the average of the first four what is left."""
    running, given = RunningMoments(3, 0.75, CPU), batches(7)
    blended = [running.blend(features) for features in given][-1]
    assert blended.share == 0.25
    weights = torch.tensor([0.75**3 / 4] * 4 + [0.25 * 0.75**2, 0.25 * 0.75, 0.25], dtype=torch.float64)
    assert float(weights.sum()) == pytest.approx(1)
    mean = sum(weight * features.mean(dim=0) for weight, features in zip(weights, given, strict=True))
    second = sum(weight * features.T @ features / 16 for weight, features in zip(weights, given, strict=True))
    torch.testing.assert_close(blended.mean, mean)
    torch.testing.assert_close(blended.covariance, second - torch.outer(mean, mean))


def test_the_newest_batch_alone_has_a_gradient_and_it_is_its_share() -> None:
    running, given = RunningMoments(3, 0.75, CPU), batches(6)
    for features in given:
        features.requires_grad_()
        blended = running.blend(features)
    blended.mean.sum().backward()
    assert all(features.grad is None for features in given[:-1])
    torch.testing.assert_close(given[-1].grad, torch.full((16, 3), 0.25 / 16, dtype=torch.float64))


def test_half_precision_features_are_added_up_in_float64() -> None:
    blended = RunningMoments(2, 0.9, CPU).blend(torch.ones(8, 2, dtype=torch.bfloat16))
    assert (blended.mean.dtype, blended.covariance.dtype) == (torch.float64, torch.float64)


def test_moments_go_on_from_their_state_to_the_bit_and_the_state_is_a_copy() -> None:
    whole, given = RunningMoments(3, 0.75, CPU), batches(9)
    for features in given[:6]:
        whole.blend(features)
    state = whole.state_dict()
    kept = {name: values.clone() for name, values in state.items()}
    other = RunningMoments(3, 0.75, CPU)
    other.load_state_dict(state)
    for features in given[6:]:
        expected, found = whole.blend(features), other.blend(features)
        assert torch.equal(expected.mean, found.mean)
        assert torch.equal(expected.covariance, found.covariance)
        assert expected.share == found.share
    assert all(torch.equal(state[name], kept[name]) for name in kept)
