"""The memory that is foretold, against what torch's allocator hands out."""

from __future__ import annotations

from contextlib import closing
from itertools import accumulate

import pytest
import torch
from diffusers import ModelMixin
from helpers.composition import composed
from helpers.small_training import OBJECTIVE, training_config
from helpers.small_unet import small_unet
from torch.profiler import ProfilerActivity, profile

from pipeline.config.loading import parse_config
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.networks import build_network
from pipeline.models.runtime import Runtime
from pipeline.training.ema import Ema
from pipeline.training.loader import batches_from
from pipeline.training.loop import training_step
from pipeline.training.planned_memory import PlannedTraining, planned_training_needs
from pipeline.training.preflight import Placement
from pipeline.training.samples import StepBatches
from pipeline.training.setup import prepared
from pipeline.training.speed import RandomPairs


def allocated_in_two_steps(network: ModelMixin, batch_size: int, runtime: Runtime) -> int:
    """Most bytes allocated at once, the weights beside."""
    settings = training_config(batch_size=batch_size)
    with (
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled,
        prepared(network.train(), settings, runtime) as (wrapped, optimizers),
    ):
        counted, ema = (
            CountedNetwork(wrapped, NetworkCalls()),
            Ema(wrapped.parameters(), halflife_images=50, rampup_ratio=0.1),
        )
        batches = StepBatches(RandomPairs(network), OBJECTIVE, settings, 0, 1)
        with closing(batches_from(batches, 0, runtime.device, num_workers=0)) as loaded:
            for _ in range(2):
                training_step(counted, optimizers, OBJECTIVE, next(loaded), 1e-3, settings, runtime.accelerator)
                ema.update(batch_size, batch_size)
    changes = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in changes))


@pytest.mark.parametrize(("side", "channels"), [(16, (8, 16)), (8, (64, 128))])
def test_a_training_takes_what_is_foretold(runtime: Runtime, side: int, channels: tuple[int, int]) -> None:
    """Within a quarter, whether activations or weights are the most of it."""

    def build() -> ModelMixin:
        return small_unet(sample_size=side, block_out_channels=channels)

    placement = Placement(1, False, False, torch.device("cpu"))
    foretold = planned_training_needs(PlannedTraining(build, training_config(batch_size=16)), placement)
    weights = 4 * foretold.num_parameters
    found = weights + allocated_in_two_steps(build(), 16, runtime)
    assert found == pytest.approx(foretold.total_bytes, rel=0.25)


def test_what_a_gpu_was_seen_to_take_is_foretold() -> None:
    """A step of 512 of the published CIFAR-10 network in bfloat16, not compiled, took 20,930 MiB on an H200, in either
    memory format; docs/gpu.md has the run.
    """
    teacher = parse_config(composed("preset=cifar10_short"), origin="cifar10_short").teacher

    def build() -> ModelMixin:
        return build_network(teacher.network, (3, 32, 32), 0)

    placement = Placement(1, False, bf16=True, device=torch.device("cpu"), float32_norms=True)
    foretold = planned_training_needs(PlannedTraining(build, teacher.train), placement)
    assert foretold.total_bytes / 2**20 == pytest.approx(20_930, rel=0.05)
