"""How fast couplings are made and read, as ratios within one run.

    python -m benchmarks.couplings                 # the digits UNet, minutes on a CPU
    python -m benchmarks.couplings --unet cifar    # 35.7 M parameters; on a GPU with --batch 1000 --pairs 20000
                                                   # --float32-pairs 2000, on two CPU cores with --batch 8 --pairs 16
                                                   # --steps 4
    python -m benchmarks.couplings --device cpu    # leaves a GPU that is there alone

Prints the following, measured in turns so that load on the machine affects all alike:

- pairs/s of the coupling stage ÷ those of as many bare network calls (the limit), and ÷ stock ``DDIMPipeline``;
- the same in bfloat16 (on GPUs also channels last and compiled) ÷ stock in float32, with the change of the images;
- share of the time spent on writing and hashing; bytes a pair ÷ C·H·W;
- pairs read at random ÷ images a bare training step consumes;
- peak memory of writing and reading a million tiny pairs minus that of ten thousand.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

import pipeline.couplings.unfinished as unfinished_module
from benchmarks.device import require_device
from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.couplings import CouplingsConfig
from pipeline.config.network import UNetConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.order import BatchOrder
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.solvers import Solution
from pipeline.models.networks import build_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import Sampler, load_sampler

UNETS = {
    "digits": (
        (1, 8, 8),
        UNetConfig(
            block_out_channels=(32, 64),
            layers_per_block=1,
            attention=(False, False),
            norm_num_groups=8,
            attention_head_dim=8,
            dropout=0.0,
        ),
    ),
    "cifar": (
        (3, 32, 32),
        UNetConfig(
            block_out_channels=(128, 256, 256, 256),
            layers_per_block=2,
            attention=(False, True, False, False),
            norm_num_groups=32,
            attention_head_dim=256,
            dropout=0.0,
        ),
    ),
}


@dataclass(frozen=True)
class Setting:
    """What is measured: a teacher on disk and how much is drawn from it.

    Attributes:
        teacher: Folder of the teacher.
        shape: Of an image.
        config: What is drawn.
        rounds: How often.
    """

    teacher: Path
    shape: tuple[int, int, int]
    config: CouplingsConfig
    rounds: int

    def of_pairs(self, num_pairs: int) -> Setting:
        """The same with another number of pairs, in whole batches and shards of five, or in two shards."""
        batch = self.config.batch_size
        whole = max(num_pairs // batch, 1) * batch
        update = {"num_pairs": whole, "shard_pairs": max(min(whole // 2, 5 * batch), batch)}
        return replace(self, config=self.config.model_copy(update=update))


def seconds(action: Callable[[], object]) -> float:
    """Wall time of ``action``, including its work on a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def runtime_of(precision: str, *, fast: bool) -> Runtime:
    """A runtime of one precision; with ``fast``, memory format and compilation are what ``auto`` chooses."""
    automatic = "auto" if fast else "off"
    compute = {"precision": precision, "compile": automatic, "channels_last": automatic}
    runtime = open_runtime(ComputeConfig.model_validate({**compute, "precision": "fp32"}), ONE_PROCESS)
    return replace(runtime, precision="bf16" if precision == "bf16" else "fp32")


def make_couplings(sampler: Sampler, setting: Setting) -> tuple[float, float, float]:
    """Draws the store once: pairs/s, share of the time in writing and hashing, bytes a pair ÷ C·H·W."""
    writing, original = 0.0, unfinished_module.UnfinishedStore.write

    def timed(*arguments: object, **named: object) -> None:
        nonlocal writing
        # On the clock alone: to wait for the GPU here would keep the writing from running beside it.
        start = time.perf_counter()
        original(*arguments, **named)
        writing += time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        unfinished_module.UnfinishedStore.write = timed
        try:
            spent = seconds(
                lambda: generate_couplings(sampler, setting.config, Path(folder) / "runs", Path(folder) / "store")
            )
        finally:
            unfinished_module.UnfinishedStore.write = original
        size = sum(path.stat().st_size for path in (Path(folder) / "store").iterdir())
    pairs = setting.config.num_pairs
    return pairs / spent, writing / spent, size / pairs / math.prod(setting.shape)


def bare_forwards(sampler: Sampler, setting: Setting) -> float:
    """Pairs/s of the network calls alone, as many and at the same batch size and precision."""
    config = setting.config
    x = torch.zeros(config.batch_size, *setting.shape, device=sampler.runtime.device)
    if sampler.runtime.channels_last:
        x = x.to(memory_format=torch.channels_last)
    timestep = torch.full((len(x),), 500.0, device=x.device)
    calls = (config.num_pairs // config.batch_size) * (config.solver.num_steps or 1)

    def call(times: int) -> None:
        with torch.inference_mode(), sampler.runtime.autocast():
            for _ in range(times):
                sampler.network(x, timestep)

    # A compiled network may compile once more for these inputs.
    call(1)
    return config.num_pairs / seconds(lambda: call(calls))


def stock_pipeline(setting: Setting, device: torch.device) -> float:
    """Pairs/s of diffusers' ``DDIMPipeline`` in float32, as published."""
    scheduler = DDIMScheduler.from_config(training_scheduler().config, timestep_spacing="trailing", clip_sample=False)
    stock = DDIMPipeline(UNet2DModel.from_pretrained(setting.teacher / "unet"), scheduler).to(device)
    stock.set_progress_bar_config(disable=True)
    config = setting.config

    def call_all() -> None:
        for start in range(0, config.num_pairs, config.batch_size):
            generator = torch.Generator(device).manual_seed(start)
            stock(config.batch_size, generator, num_inference_steps=config.solver.num_steps, output_type="np")

    return config.num_pairs / seconds(call_all)


def compare_throughput(setting: Setting, float32: Setting) -> None:
    """Prints the throughput ratios, each the median of the ratios of all rounds; ``float32`` is for what is slow."""
    plain = load_sampler(setting.teacher, runtime_of("fp32", fast=False))
    fast = load_sampler(setting.teacher, runtime_of("bf16", fast=True))
    x_0 = sample_noise(stream_key("evaluation", 0), range(setting.config.batch_size), setting.shape)
    reference, changed = (sampler.sample(x_0, setting.config.solver).x.float() for sampler in (plain, fast))
    of_limit, of_stock, fast_of_limit, fast_of_stock, writing = [], [], [], [], []
    for _ in range(setting.rounds):
        ours, share, size = make_couplings(plain, float32)
        limit, stock = bare_forwards(plain, float32), stock_pipeline(float32, plain.runtime.device)
        ours_fast, _, _ = make_couplings(fast, setting)
        of_limit.append(ours / limit)
        of_stock.append(ours / stock)
        fast_of_limit.append(ours_fast / bare_forwards(fast, setting))
        fast_of_stock.append(ours_fast / stock)
        writing.append(share)
    print(f"device                                  {plain.runtime.describe()}")
    print(f"couplings ÷ bare forward, fp32          {statistics.median(of_limit):.3f}   (last: {ours:,.1f} pairs/s)")
    print(f"couplings ÷ stock DDIMPipeline, fp32    {statistics.median(of_stock):.3f}")
    bf16 = statistics.median(fast_of_limit)
    print(f"couplings ÷ bare forward, bf16          {bf16:.3f}   (last: {ours_fast:,.1f} pairs/s)")
    print(f"couplings bf16 ÷ stock fp32             {statistics.median(fast_of_stock):.3f}")
    print(f"relative L2 change of x_1 by bf16       {float((changed - reference).norm() / reference.norm()):.2e}")
    print(f"share of writing and hashing            {statistics.median(writing):.2%}")
    print(f"bytes a pair ÷ C·H·W                    {size:.4f}")


def compare_reading(setting: Setting) -> None:
    """Prints pairs read at random ÷ images that a bare training step consumes."""
    sampler = load_sampler(setting.teacher, runtime_of("fp32", fast=False))
    unet = UNet2DModel.from_pretrained(setting.teacher / "unet").to(sampler.runtime.device)
    optimizer = torch.optim.AdamW(unet.parameters(), fused=True)
    batch, steps = min(setting.config.batch_size, 128), 5
    x = torch.zeros(batch, *setting.shape, device=sampler.runtime.device)

    def train() -> None:
        for _ in range(steps):
            unet(x, torch.full((batch,), 500.0, device=x.device)).sample.square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    with tempfile.TemporaryDirectory() as folder:
        generate_couplings(sampler, setting.config, Path(folder) / "runs", Path(folder) / "store")
        store = CouplingStore(Path(folder) / "store", verify=False)
        order = BatchOrder(0, batch, len(store))
        ratios = []
        for first in range(setting.rounds):
            reads = range(first * 50, first * 50 + 50)
            read = len(reads) * batch / seconds(lambda: [store.load(order(step)) for step in reads])  # noqa: B023
            ratios.append(read * seconds(train) / (steps * batch))
    print(f"pairs read ÷ images trained on          {statistics.median(ratios):.1f}   (last: {read:,.0f} pairs/s)")


class InstantSampler(Sampler):
    """Makes images at no cost, so that only the store is measured."""

    def sample(self, x_0: torch.Tensor, solver: SolverConfig, labels: torch.Tensor | None = None) -> Solution:
        """The noise itself, squashed into the range of images."""
        del labels
        return Solution(x_0.tanh(), solver.num_steps or 1)


def store_peak_megabytes(num_pairs: int) -> float:
    """Peak memory in MiB of this process while it writes ``num_pairs`` pairs of 4×4 and reads an epoch of them."""
    config = CouplingsConfig(source="teacher", num_pairs=num_pairs, solver=SolverConfig(name="ddim", num_steps=1),
                             batch_size=1000, shard_pairs=10_000, dtype="uint8", seed=0)  # fmt: skip
    sampler = InstantSampler((1, 4, 4), "none", None, torch.nn.Identity(), runtime_of("fp32", fast=False))
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # resets the peak left by the imports
    with tempfile.TemporaryDirectory() as folder:
        generate_couplings(sampler, config, Path(folder) / "runs", Path(folder) / "store")
        store = CouplingStore(Path(folder) / "store")
        order = BatchOrder(0, 1000, len(store))
        for step in range(len(store) // 1000):
            store.load(order(step))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    return float(status["VmHWM"].split()[0]) / 1024


def compare_memory() -> None:
    """Prints how peak memory grows from ten thousand to a million pairs."""
    command = [sys.executable, "-m", "benchmarks.couplings", "--store-peak"]
    peaks = [float(subprocess.run([*command, count], check=True, capture_output=True, encoding="utf-8").stdout)
             for count in ("10000", "1000000")]  # fmt: skip
    print(f"memory, 10⁶ pairs - 10⁴ pairs           {peaks[1] - peaks[0]:+.0f} MB   (of {peaks[0]:.0f} MB)")


def main() -> None:
    """Reads the command line and runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unet", choices=UNETS, default="digits")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="(default: the GPU if there is one)")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--float32-pairs", type=int, help="of those in float32 (default: as many)")
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-memory", action="store_true", help="do not measure memory, which takes about a minute")
    parser.add_argument("--store-peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.store_peak:
        print(store_peak_megabytes(arguments.store_peak))
        return
    if arguments.device:
        require_device(arguments.device)
    shape, unet = UNETS[arguments.unet]
    config = CouplingsConfig(
        source="teacher",
        num_pairs=arguments.batch,
        solver=SolverConfig(name="unipc", num_steps=arguments.steps),
        batch_size=arguments.batch,
        shard_pairs=arguments.batch,
        dtype="uint8",
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        teacher = Path(folder) / "teacher"
        save_teacher(build_network(unet, shape, 0), teacher, training_scheduler())
        setting = Setting(teacher, shape, config, arguments.rounds).of_pairs(arguments.pairs)
        float32 = setting.of_pairs(arguments.float32_pairs or arguments.pairs)
        compare_throughput(setting, float32)
        compare_reading(float32)
    if not arguments.skip_memory:
        compare_memory()


if __name__ == "__main__":
    main()
