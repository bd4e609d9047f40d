from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.mixture_field import MixtureField
from helpers.small_unet import small_unet
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.config.solver import SolverConfig
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.flops import FlopsPerSample, flops_per_sample
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.models.velocity_mlp import VelocityMLP
from pipeline.system.compute import Compute
from pipeline.toys.distributions import TOYS

ATTENTION = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,
}


def small_mlp() -> VelocityMLP:
    return VelocityMLP(in_channels=2, width=5, num_layers=2, fourier_octaves=0, time_features=4)


def test_samples_are_counted_forward_and_backward_as_they_go(tiny_unet) -> None:
    counted = CountedNetwork(tiny_unet, NetworkCalls())
    x, t = torch.zeros(3, 1, 8, 8), torch.zeros(3)
    plain = tiny_unet(x, t).sample
    assert counted.calls == NetworkCalls(0, 0)
    output = counted(x, t).sample
    assert torch.equal(output, plain)
    assert counted.calls == NetworkCalls(3, 0)
    output.sum().backward()
    assert counted.calls == NetworkCalls(3, 3)
    with torch.no_grad():
        counted(x[:2], t[:2])
    counted(x[:1], t[:1])  # whose gradient nothing asks for
    assert counted.calls == NetworkCalls(6, 3)


def test_flops_of_an_mlp_are_those_of_its_products() -> None:
    # Products of 6×5, 5×5 and 5×2; backward has each again for its weights, and all but the first for its inputs.
    forward = 2 * (6 * 5 + 5 * 5 + 5 * 2)
    expected = FlopsPerSample(forward, backward=forward + 2 * (5 * 5 + 5 * 2))
    assert flops_per_sample(small_mlp(), (2,), None) == expected
    assert expected.compute(NetworkCalls(7, 3), 0.5) == Compute(7, 3, 7 * forward + 3 * expected.backward, 0.5)


@pytest.mark.parametrize(("changes", "classes"), [(ATTENTION, None), ({"num_class_embeds": 3}, 3)])
def test_flops_of_a_unet_are_those_of_a_real_pass(changes: dict[str, object], classes: int | None) -> None:
    network = small_unet(**changes)
    inputs = [torch.zeros(1, 1, 8, 8), torch.zeros(1)] + ([] if classes is None else [torch.tensor([2])])
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            output = network(*inputs).sample.sum()
        with FlopCounterMode(display=False) as backward:
            output.backward()
    expected = FlopsPerSample(forward.get_total_flops(), backward.get_total_flops())
    assert flops_per_sample(network, (1, 8, 8), classes) == expected


def test_counting_flops_leaves_network_and_generator_as_they_are(tiny_unet) -> None:
    tiny_unet.train()
    plain = flops_per_sample(tiny_unet, (1, 8, 8), None)
    before = torch.get_rng_state()
    tiny_unet.enable_gradient_checkpointing()
    checkpointed = flops_per_sample(tiny_unet, (1, 8, 8), None)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None and parameter.device.type == "cpu" for parameter in tiny_unet.parameters())
    assert checkpointed.forward == plain.forward
    # What is computed again is at most the forward pass.
    assert plain.backward < checkpointed.backward <= plain.backward + plain.forward
    tiny_unet.disable_gradient_checkpointing()
    tiny_unet.compile()
    assert flops_per_sample(tiny_unet, (1, 8, 8), None) == plain


def test_a_network_without_weights_or_products_costs_nothing() -> None:
    assert flops_per_sample(MixtureField(TOYS["bimodal_1d"].mixture), (1,), None) == FlopsPerSample(0, 0)


def test_a_sampler_counts_what_its_solvers_call(runtime: Runtime) -> None:
    sampler = Sampler((2,), "", None, small_mlp(), runtime)
    nfe = sampler.sample(torch.zeros(4, 2), SolverConfig(name="heun", num_steps=3)).nfe
    assert nfe == 6
    sampler.velocity_field()(torch.zeros(5, 2), torch.zeros(5))
    assert sampler.calls == NetworkCalls(4 * nfe + 5, 0)
    assert dataclasses.replace(sampler, calls=NetworkCalls()).calls == NetworkCalls(0, 0)
