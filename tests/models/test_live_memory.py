"""Memory of passes whose every tensor is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from helpers.small_unet import small_unet

from pipeline.models.live_memory import LiveBytes, Visited, peak_bytes

ENTRIES = 1000


class SampleOf(torch.nn.Module):
    """A network that returns a tensor, as one that returns it by name."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.network(x))


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


def test_normalisations_are_left_in_float32_as_on_a_gpu() -> None:
    """Torch's autocast on CUDA runs group and layer norm in float32; on a CPU it leaves them their input's type."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 1), torch.nn.GroupNorm(2, 4), torch.nn.LayerNorm(3))
    seen = list[torch.dtype]()
    for layer in network:
        layer.register_forward_hook(lambda _, __, output: seen.append(output.dtype))

    def call(float32_norms: bool) -> list[torch.dtype]:
        seen.clear()
        whole = SampleOf(network)
        Visited(whole, bf16=True, float32_norms=float32_norms)(torch.zeros(2, 1, 3, 3))
        return list(seen)

    assert call(False) == [torch.bfloat16] * 3
    assert call(True) == [torch.bfloat16, torch.float32, torch.float32]
    assert call(False) == [torch.bfloat16] * 3


def test_a_network_is_seen_as_training_calls_it() -> None:
    network = small_unet()
    x, t = torch.zeros(2, 1, 8, 8), torch.zeros(2)
    assert torch.equal(Visited(network, bf16=False)(x, t).sample, network(x, t).sample)
    assert Visited(network, bf16=True)(x, t).sample.dtype == torch.float32
