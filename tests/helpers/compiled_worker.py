"""Script of each process in tests/training/test_compiled.py: one training plain, and one compiled and split.

torchrun --nproc-per-node N tests/helpers/compiled_worker.py FOLDER N
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from helpers.counting_compiler import CountingCompiler, compiled_by
from helpers.small_training import OBJECTIVE, Pairs, training_config
from helpers.small_unet import small_unet
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.training.loop import train

SETTINGS = training_config(num_steps=6, heldout_items=20, heldout_every_steps=2, gradient_checkpointing=True)
KINDS_OF_CALL = 2
"""With a gradient, and without for held-out losses."""


def weights_of(network: torch.nn.Module) -> torch.Tensor:
    """All of them in one vector."""
    return torch.cat([values.detach().reshape(-1).clone() for values in network.parameters()])


def work(name: str, folder: Path, runtime: Runtime) -> None:
    """Trains, and writes held-out losses, how far weights moved, and what was compiled."""
    network = small_unet()
    start = weights_of(network)
    with compiled_by(compiler := CountingCompiler(aot=True)):
        result = train(network, Pairs(), OBJECTIVE, SETTINGS, runtime, folder / name, name, heldout=Pairs())
        compilations = int(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    moved = weights_of(network) - start
    found = {
        "heldout": [row.heldout_loss for row in result.history if row.heldout_loss is not None],
        "moved": float(moved.norm()),
        "graphs": compiler.graphs,
        "compilations": compilations,
        "bound": KINDS_OF_CALL,
    }
    if runtime.is_main:
        (folder / f"{name}.json").write_text(json.dumps(found))


def main(folder: Path, num_processes: int) -> None:
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="bf16", compile="off", channels_last="on")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes))
    work("plain", folder, runtime)
    # 10 kB: torch's compiler then divides the network where a bucket of gradients is full. No first one may be larger.
    torch.distributed._DEFAULT_FIRST_BUCKET_BYTES = 10_000
    original = DistributedDataParallel.__init__
    DistributedDataParallel.__init__ = functools.partialmethod(original, bucket_cap_mb=0.01)
    work("compiled", folder, dataclasses.replace(runtime, compile=True))
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
