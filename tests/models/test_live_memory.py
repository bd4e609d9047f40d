"""Memory of passes whose every tensor is known."""

from __future__ import annotations

import pytest
import torch
from helpers.small_unet import small_unet

from pipeline.models.live_memory import LiveBytes, Visited, peak_bytes

ENTRIES = 1000


@pytest.mark.parametrize("num_samples", [1, 2, 3, 64])
def test_the_peak_of_a_known_pass_is_what_is_alive_at_its_worst_moment(num_samples: int) -> None:
    scale = torch.nn.Parameter(torch.ones(()))
    inputs = torch.zeros(2, ENTRIES)

    def loss(num: int) -> torch.Tensor:
        return (inputs[:num] * scale).exp().exp().sum()

    # The backward pass of the outer exp needs its result and that of the inner one, and makes the product with a
    # gradient that is a number expanded; the product of the inputs and scale was freed when the inner exp was done.
    found = peak_bytes(loss, [scale], num_samples)
    assert found == pytest.approx(3 * 4 * ENTRIES * num_samples, abs=64)


def test_freed_storages_and_views_do_not_count() -> None:
    with LiveBytes() as live:
        kept = torch.zeros(10).view(2, 5)
        torch.ones(1000).sum()
        kept.add_(1)
    assert live.after_operations[-1] == kept.nbytes
    assert max(live.after_operations) == 40 + 4000 + 4


def test_gradients_of_parameters_are_dropped_and_those_before_are_not_needed() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    peak_bytes(lambda num: (weight * num).sum(), [weight], 5)
    assert weight.grad is None
    (weight * 2).sum().backward()
    assert weight.grad.tolist() == [2, 2, 2]


def test_a_network_is_seen_as_training_calls_it() -> None:
    network = small_unet()
    x, t = torch.zeros(2, 1, 8, 8), torch.zeros(2)
    assert torch.equal(Visited(network, bf16=False)(x, t).sample, network(x, t).sample)
    assert Visited(network, bf16=True)(x, t).sample.dtype == torch.float32
