"""What a card can do at most, and what a training step takes of its memory.

    python -m benchmarks.card --preset cifar10_short

The limit is the card's rate of bfloat16 products of large matrices, divided by the FLOPs of the network for an image.
Memory is the peak of one training step, beside what is foretold of it.
"""

from __future__ import annotations

import argparse
from contextlib import closing

import torch

from benchmarks.device import require_device
from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.flops import flops_per_sample
from pipeline.models.networks import build_network
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.system.device import wait_for
from pipeline.system.stopwatch import median_seconds
from pipeline.training.loader import batches_from
from pipeline.training.loop import training_step
from pipeline.training.planned_memory import PlannedTraining, planned_training_needs
from pipeline.training.preflight import Placement
from pipeline.training.samples import StepBatches
from pipeline.training.setup import prepared
from pipeline.training.speed import OBJECTIVE, RandomPairs
from stages.commands.forecast import configuration
from stages.entry import one_message


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cifar10_short")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--side", type=int, default=8192, help="of the matrices (default: 8192)")
    options = parser.parse_args()
    with one_message():
        require_device(options.device)
        config = configuration(options.preset, [])
        runtime = open_runtime(config.compute.model_copy(update={"compile": "off"}), ONE_PROCESS)
        print(f"device                                  {runtime.describe()}")
        print_limit(config, runtime.device, options.side)
        print_memory(config, runtime)


def print_limit(config: Config, device: torch.device, side: int) -> None:
    """The rate of products, and the images/s that it allows."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        torch.mm(a, b)
        wait_for(device)

    rate = 2 * side**3 / median_seconds(multiply, 2.0)
    network = build_network(config.teacher.network, config.data.sample_shape, 0)
    flops = flops_per_sample(network, config.data.sample_shape, None)
    training = flops.forward + flops.backward
    print(f"bf16 products of {side} x {side}, TFLOP/s    {rate / 1e12:.1f}")
    print(f"FLOPs an image, forward and in training {flops.forward / 1e9:.2f} G, {training / 1e9:.2f} G")
    print(f"limit forward, images/s                 {rate / flops.forward:,.0f}")
    print(f"limit in training, images/s             {rate / training:,.0f}")


def print_memory(config: Config, runtime: Runtime) -> None:
    """The peak of a training step on the card, beside the forecast."""
    settings = config.teacher.train

    def build() -> torch.nn.Module:
        return build_network(config.teacher.network, config.data.sample_shape, 0)

    bf16 = runtime.precision == "bf16"
    placement = Placement(1, False, bf16, torch.device("cpu"), float32_norms=bf16 and runtime.device.type == "cuda")
    foretold = planned_training_needs(PlannedTraining(build, settings), placement).total_bytes
    print(f"memory of a step of {settings.batch_size}, foretold        {foretold / 2**20:,.0f} MiB")
    if runtime.device.type != "cuda":
        print("memory of a step, measured              not on a CPU")
        return
    network = build().train()
    torch.cuda.reset_peak_memory_stats(runtime.device)
    batches = StepBatches(RandomPairs(network), OBJECTIVE, settings, 0, 1)
    with (
        prepared(network, settings, runtime) as (wrapped, optimizers),
        closing(batches_from(batches, 0, runtime.device, num_workers=0)) as loaded,
    ):
        counted = CountedNetwork(wrapped, NetworkCalls())
        for _ in range(3):
            training_step(counted, optimizers, OBJECTIVE, next(loaded), 1e-4, settings, runtime.accelerator)
        wait_for(runtime.device)
    found = torch.cuda.max_memory_allocated(runtime.device)
    print(f"memory of a step, measured              {found / 2**20:,.0f} MiB, {found / foretold:.2f} of it")


if __name__ == "__main__":
    main()
