"""What the host spends on an image when the network costs nothing: the most that any device can be kept busy with.

    python -m benchmarks.host                      # 3×32×32 at 1 and 8 evaluations, on 1, 2 and 4 threads
    python -m benchmarks.host --threads 2 --images 4000

The network returns a tensor made beforehand. Three jobs are measured:

- *couplings*: whole shards, drawn, checked, measured, hashed and written to disk;
- *sampling*: noise drawn and images solved, batch by batch;
- *evaluation*: the blocks of a sweep without features.

Each of them twice: with all of it on the CPU; and without what a GPU does, where the solver's steps, the checks, the
costs and the 8-bit images are replaced by what they gave for one batch. Printed are images a second by the clock, CPU
time an image over all threads of the process, and the share of a device's limit that is reached: 60,000 network calls a
second unless ``--limit`` says otherwise. The clock tells what a machine does that is idle; CPU time tells what the work
is, whatever else runs.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

import pipeline.couplings.shard_making as shard_making
import pipeline.evaluation.blocks as blocks
from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.couplings import CouplingsConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.coupling_run import open_run
from pipeline.couplings.generation import make_shards
from pipeline.couplings.unfinished import Worker
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import Solution
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler
from pipeline.system.blocks import batches_of

SHAPE = (3, 32, 32)
EVALUATIONS = (1, 8)


class FreeNetwork(torch.nn.Module):
    """Returns the same tensor for every batch of a size."""

    def __init__(self) -> None:
        super().__init__()
        self._outputs: dict[tuple[int, ...], SimpleNamespace] = {}

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> SimpleNamespace:
        """An object with ``sample``, (batch, …), as networks of diffusers return."""
        shape = tuple(x.shape)
        if shape not in self._outputs:
            self._outputs[shape] = SimpleNamespace(sample=torch.rand(shape) - 0.5)
        return self._outputs[shape]


class FreeSampler(Sampler):
    """Returns what it sampled first for every batch of a size, as the host sees a GPU do that is fast enough."""

    def sample(self, x_0: torch.Tensor, solver: SolverConfig, labels: torch.Tensor | None = None) -> Solution:
        """One batch's images."""
        del labels
        return self.network.images(tuple(x_0.shape), solver)


class ImagesMadeBefore(torch.nn.Module):
    """Images of one batch of each size."""

    def __init__(self) -> None:
        super().__init__()
        self._images: dict[tuple[int, ...], torch.Tensor] = {}

    def images(self, shape: tuple[int, ...], solver: SolverConfig) -> Solution:
        """Images of this shape."""
        if shape not in self._images:
            self._images[shape] = torch.rand(shape) * 2 - 1
        return Solution(self._images[shape], solver.steps)


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which is called once for every size of its batch."""
    results: dict[int, Any] = {}

    def first_result(batch: Any, *others: Any, **named: Any) -> Any:
        size = len(batch if isinstance(batch, torch.Tensor) else batch.x_1)
        if size not in results:
            results[size] = function(batch, *others, **named)
        return results[size]

    return first_result


@dataclass(frozen=True)
class Job:
    """What is measured.

    Attributes:
        images: Images in all.
        batch: Images per call.
        evaluations: Network calls per image.
    """

    images: int
    batch: int
    evaluations: int

    @property
    def solver(self) -> SolverConfig:
        """Euler steps."""
        return SolverConfig(name="euler", num_steps=self.evaluations)

    @property
    def batches(self) -> list[range]:
        """Indices of each call."""
        return batches_of(range(self.images), self.batch)


def couplings(sampler: Sampler, job: Job) -> None:
    """Whole shards on disk, of five batches each."""
    config = CouplingsConfig(source="teacher", num_pairs=job.images, solver=job.solver, batch_size=job.batch,
                             shard_pairs=5 * job.batch, dtype="uint8", seed=0)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        make_shards(open_run(sampler, config, Path(folder)), Worker(0, 1))


def sampling(sampler: Sampler, job: Job) -> None:
    """Noise drawn, images solved."""
    key = stream_key("evaluation", 0)
    for batch in job.batches:
        x_0, labels = sampler.draw(key, batch)
        sampler.sample(x_0, job.solver, labels)


def evaluation(sampler: Sampler, job: Job) -> None:
    """One block of a sweep, without features."""
    key = stream_key("evaluation", 0)

    def prepare(batch: range) -> Callable[[], Solution]:
        x_0, labels = sampler.draw(key, batch)
        return lambda: sampler.sample(x_0, job.solver, labels)

    blocks.measure_block(prepare, range(job.images), [], torch.device("cpu"), decode=None, batch_size=job.batch,
                         num_parts=1, num_features_kept=0, num_images_kept=0)  # fmt: skip


JOBS = {"couplings": couplings, "sampling": sampling, "evaluation": evaluation}


def measure(run: Callable[[Sampler, Job], None], sampler: Sampler, job: Job, repeats: int) -> tuple[float, float]:
    """Images a second by the clock and CPU microseconds an image, each the best of some repeats."""
    run(sampler, Job(2 * job.batch, job.batch, job.evaluations))
    wall, cpu = [], []
    for _ in range(repeats):
        began, spent = time.perf_counter(), time.process_time()
        run(sampler, job)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    return job.images / min(wall), 1e6 * min(cpu) / job.images


def report(arguments: argparse.Namespace) -> None:
    """Measures in this process, with the threads that it was given, and prints a line a job."""
    torch.set_num_threads(arguments.threads[0])
    runtime = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)
    for name, run in JOBS.items():
        for evaluations in EVALUATIONS:
            job = Job(arguments.images, arguments.batch, evaluations)
            sampler = Sampler(SHAPE, "host", None, FreeNetwork(), runtime)
            row(arguments, name, evaluations, "all on the CPU", *measure(run, sampler, job, arguments.repeats))
            with (
                patch.multiple(shard_making, stored_pairs=remembered(shard_making.stored_pairs)),
                patch.multiple(blocks, checked_pixels=remembered(blocks.checked_pixels)),
            ):
                free = FreeSampler(SHAPE, "host", None, ImagesMadeBefore(), runtime)
                row(arguments, name, evaluations, "without a GPU's", *measure(run, free, job, arguments.repeats))


def row(arguments: argparse.Namespace, name: str, evaluations: int, part: str, rate: float, cpu: float) -> None:
    """Prints a line."""
    reached = min(1.0, rate * evaluations / arguments.limit)
    print(f"{name:<11}{evaluations:>5}  {part:<16}{arguments.threads[0]:>8}{rate:>12,.0f}{cpu:>14.1f}{reached:>10.0%}",
          flush=True)  # fmt: skip


def main() -> None:
    """Reads the command line and runs the benchmark, in a process of its own for each number of threads."""
    processors = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[n for n in (1, 2, 4) if n <= processors])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60_000.0, help="network calls a second of the device")
    parser.add_argument("--report", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments)
        return
    print(f"{processors} processors, load {os.getloadavg()[0]:.1f}; {arguments.images:,} images of {SHAPE}")
    print(f"{'job':<11}{'calls':>5}  {'what':<16}{'threads':>8}{'images/s':>12}{'CPU µs/image':>14}{'of limit':>10}")
    for threads in arguments.threads:
        # As many processors as threads: what else the process starts has to share them.
        chosen = ",".join(str(processor) for processor in sorted(os.sched_getaffinity(0))[:threads])
        settings = [f"--{name}={getattr(arguments, name)}" for name in ("images", "batch", "repeats", "limit")]
        program = [sys.executable, "-m", "benchmarks.host", "--report", "--threads", str(threads)]
        # A GPU that is there is left alone.
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        subprocess.run(["taskset", "-c", chosen, *program, *settings], check=True, env=environment)


if __name__ == "__main__":
    main()
