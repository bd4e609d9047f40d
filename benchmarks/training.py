"""Speed of the training loop, as ratios measured in one run.

    python -m benchmarks.training                              # digits UNet, batch 128
    python -m benchmarks.training --unet cifar --batch-size 16
    python -m benchmarks.training --device cuda --unet cifar   # all contenders on the GPU
    python -m benchmarks.training --device cuda --compile      # our loop and the bare step, compiled; ours with Muon
    pip install --no-deps torchcfm pot                         # adds TorchCFM to the comparison

Contenders take turns in every round, so that a slow machine slows all of them. A round's time is the median over its
blocks; a ratio is the median over rounds. Each contender gets a fresh copy of the same network, and its first block is
not timed. Nothing else may run on the machine: threads that wait for each other lose far more than their share when
cores are busy.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from diffusers import UNet2DModel

from benchmarks.device import require_device
from benchmarks.training_peers import bare, diffusers_example, timed, torchcfm_example
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.network import UNetConfig
from pipeline.config.training import TrainingConfig
from pipeline.data.pixels import to_float
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.timesteps import uniform
from pipeline.methods.reflow import Reflow
from pipeline.models.networks import build_network
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.training.loop import train
from pipeline.training.meter import LossRecord
from stages.entry import one_message

NUM_IMAGES = 10_000
DIGITS = UNetConfig(
    block_out_channels=(32, 64),
    layers_per_block=1,
    attention=(False, False),
    norm_num_groups=8,
    attention_head_dim=8,
    dropout=0.0,
)
CIFAR = UNetConfig(
    block_out_channels=(128, 256, 256, 256),
    layers_per_block=2,
    attention=(False, True, False, False),
    norm_num_groups=32,
    attention_head_dim=256,  # as published
    dropout=0.0,
)
UNETS = {"digits": (DIGITS, (1, 8, 8)), "cifar": (CIFAR, (3, 32, 32))}


class SeededPairs:
    """Pairs as the store of couplings gives them: noise from its seed, images from 8 bits."""

    def __init__(self, images: torch.Tensor) -> None:
        self._images, self._key = images, stream_key("couplings", 0)

    def __len__(self) -> int:
        return len(self._images)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        shape = tuple(self._images.shape[1:])
        return {"x_0": sample_noise(self._key, indices.tolist(), shape), "x_1": to_float(self._images[indices])}

    def locate(self, index: int) -> str:
        return f"pair {index}"


class Stopwatch:
    """Takes the place of a run's watcher: notes when each block of steps was recorded.

    To be recorded, a loss is read, for which everything on a GPU is waited for.
    """

    def __init__(self) -> None:
        self.times: list[float] = []

    def record(self, row: LossRecord, batch_size: int) -> None:  # noqa: ARG002
        self.times.append(time.perf_counter())

    def looks_at(self, step: int) -> bool:  # noqa: ARG002
        return False


def ours(
    unet: UNet2DModel,
    images: torch.Tensor,
    batch_size: int,
    runtime: Runtime,
    blocks: int,
    steps: int,
    optimizer: Literal["adamw", "muon"] = "adamw",
) -> list[float]:
    """Seconds of each block of our loop with everything on: EMA, clipping, loss by t, seeded noise."""
    config = TrainingConfig(
        num_steps=(blocks + 1) * steps,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=2e-4,
        lr_decay="constant",
        warmup_steps=min(500, (blocks + 1) * steps),
        weight_decay=0.0,
        gradient_clip_norm=1.0,
        ema_halflife_images=500_000,
        ema_rampup_ratio=0.05,
        log_every_steps=steps,
        checkpoint_every_steps=10**9,
        seed=0,
    )
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        train(
            unet,
            SeededPairs(images),
            Reflow(uniform, VelocityLoss(l2)),
            config,
            runtime,
            Path(folder),
            "straightflow",
            watcher=watch,
        )
    return [end - start for start, end in zip(watch.times[:-1], watch.times[1:], strict=True)]


def contenders(bf16: bool, runtime: Runtime) -> dict[str, Callable[..., list[float]]]:
    """Name → (network, images, batch size, blocks, steps) → seconds of each block after an untimed one.

    The bare step has the memory format and the compilation of our loop. The examples of others are measured as they
    are written, and not at all beside compiled ones.
    """

    def limit(unet, *arguments) -> list[float]:
        unet = unet.to(runtime.device)
        if runtime.channels_last:
            unet = unet.to(memory_format=torch.channels_last)
        if runtime.compile:
            unet.compile()
        return peer(bare, unet, *arguments)

    def peer(make: Callable[..., Callable[[], None]], unet, images, batch_size, blocks, steps) -> list[float]:
        step = make(unet.to(runtime.device), images, batch_size, bf16)
        timed(step, 1, steps, runtime.device)
        return timed(step, blocks, steps, runtime.device)

    found: dict[str, Callable[..., list[float]]] = {
        "straightflow": lambda unet, images, batch, blocks, steps: ours(unet, images, batch, runtime, blocks, steps),
        "bare step": limit,
    }
    if runtime.compile:
        found["straightflow, muon"] = lambda unet, images, batch, blocks, steps: ours(
            unet, images, batch, runtime, blocks, steps, optimizer="muon"
        )
        return found
    found["diffusers example"] = partial(peer, diffusers_example)
    if importlib.util.find_spec("torchcfm") and importlib.util.find_spec("ot"):
        found["torchcfm example"] = partial(peer, torchcfm_example)
    else:
        print("torchcfm is not installed: left out")
    return found


def compare(arguments: argparse.Namespace) -> None:
    """Prints images per second of every contender and our ratio to each."""
    runtime = open_benchmark(arguments.device, arguments.precision, 1, compiled=arguments.compile)
    config, shape = UNETS[arguments.unet]
    images = torch.randint(0, 256, (NUM_IMAGES, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    start = build_network(config, shape, 0).train()
    seconds: dict[str, list[float]] = {}
    on_gpu, peaks = runtime.device.type == "cuda", dict[str, float]()
    for _ in range(arguments.rounds):
        for name, run in contenders(arguments.precision == "bf16", runtime).items():
            before = torch.cuda.memory_allocated() if on_gpu else 0
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            blocks = run(copy.deepcopy(start), images, arguments.batch_size, arguments.blocks, arguments.block_steps)
            seconds.setdefault(name, []).append(statistics.median(blocks))
            if on_gpu:
                peaks[name] = (torch.cuda.max_memory_allocated() - before) / 2**20
    place = f"{torch.get_num_threads()} threads" if arguments.device == "cpu" else runtime.describe()
    compiled = ", compiled" if arguments.compile else ""
    print(f"\n{arguments.unet} UNet, batch {arguments.batch_size}, {arguments.precision}{compiled}, {place}")
    for name, values in seconds.items():
        rate = arguments.batch_size * arguments.block_steps / statistics.median(values)
        ratios = [theirs / own for theirs, own in zip(values, seconds["straightflow"], strict=True)]
        print(
            f"{name:>20}: {rate:8.0f} images/s   straightflow/{name} = {statistics.median(ratios):.3f}"
            f"   (rounds {min(ratios):.3f} to {max(ratios):.3f})"
            + (f"   at most {peaks[name]:,.0f} MiB" if on_gpu else "")
        )


def open_benchmark(device: str, precision: str, num_processes: int, *, compiled: bool = False) -> Runtime:
    """What all contenders run on; a GPU that is there is left alone unless it is asked for.

    Raises:
        StraightflowError: If there is no GPU, and one is asked for.
    """
    require_device(device)
    compute = ComputeConfig(precision=precision, compile="on" if compiled else "off", channels_last="auto")
    return open_runtime(compute, LaunchConfig(command="benchmark", num_processes=num_processes))


def processes(arguments: argparse.Namespace) -> None:
    """Prints the rate of one process with two threads and of two processes with one thread each."""
    rates = []
    for count in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command += ["-m", "benchmarks.training"]
        command += ["--worker", str(count), "--unet", arguments.unet, "--batch-size", str(arguments.batch_size)]
        command += ["--precision", arguments.precision, "--block-steps", str(arguments.block_steps)]
        environment = os.environ | {"OMP_NUM_THREADS": str(2 // count), "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8")
        rates.append(float(done.stdout.strip().splitlines()[-1]))
        print(f"{count} process(es) x {2 // count} thread(s): {rates[-1]:.0f} images/s")
    # Each process reads half the batch and averages gradients over gloo; threads divide every operation instead and
    # synchronise at its end.
    print(f"two processes / one process of two threads = {rates[1] / rates[0]:.3f}")


def worker(arguments: argparse.Namespace) -> None:
    """One of the processes that :func:`processes` starts; the main one prints images per second."""
    runtime = open_benchmark("cpu", arguments.precision, arguments.worker)
    config, shape = UNETS[arguments.unet]
    images = torch.randint(0, 256, (NUM_IMAGES, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    unet = build_network(config, shape, 0)
    seconds = statistics.median(
        ours(unet, images, arguments.batch_size, runtime, arguments.blocks, arguments.block_steps)
    )
    if runtime.is_main:
        print(arguments.batch_size * arguments.block_steps / seconds)


def main() -> None:
    """Reads the command line and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unet", choices=UNETS, default="digits")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--block-steps", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="our loop and the bare step, both compiled")
    parser.add_argument("--no-processes", action="store_true", help="leave out the comparison of processes and threads")
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with one_message():
        if arguments.worker:
            worker(arguments)
            return
        compare(arguments)
        if arguments.device == "cpu" and not arguments.no_processes:
            processes(arguments)


if __name__ == "__main__":
    main()
