"""Script of each process in tests/training/test_following.py: trainings that follow a saved model.

torchrun --nproc-per-node N tests/helpers/following_worker.py FOLDER N
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import pipeline.training.loop as training
from helpers.at_step import Killed, at_step, die
from helpers.small_training import Pairs, training_config
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.methods.progressive import Progressive
from pipeline.models.networks import load_network
from pipeline.models.ode import ode_of
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler

SETTINGS = training_config(num_steps=6, checkpoint_every_steps=2, heldout_items=20)


def train_after(folder: Path, runtime: Runtime, name: str) -> None:
    """Trains from and after ``folder/init``; writes weights, samples computed and held-out loss."""
    run = f"{name}-{runtime.accelerator.num_processes}"
    init, network = load_sampler(folder / "init", runtime), load_network(folder / "init")
    objective = Progressive(VelocityLoss(l2), num_steps=2, init=ode_of(init))
    result = training.train(
        network, Pairs(), objective, SETTINGS, runtime, folder / run, name, heldout=Pairs(), companions=[init]
    )
    if runtime.is_main:
        save_file(network.state_dict(), folder / f"{run}.safetensors")
        counts = result.compute.samples_forward, result.compute.samples_backward, result.compute.flops
        (folder / f"{run}.json").write_text(json.dumps([*counts, result.history[-1].heldout_loss]))


def work(folder: Path, runtime: Runtime) -> None:
    """Trains ``whole``, and ``stopped``, which dies in its fifth step and goes on."""
    train_after(folder, runtime, "whole")
    with at_step(4, die), contextlib.suppress(Killed):
        train_after(folder, runtime, "stopped")
    train_after(folder, runtime, "stopped")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    work(Path(sys.argv[1]), open_runtime(compute, LaunchConfig(command="torchrun", num_processes=int(sys.argv[2]))))
