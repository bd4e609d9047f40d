"""Script of each process in tests/training/test_stopping.py: trainings that stop early, in one folder.

torchrun --nproc-per-node N tests/helpers/stopping_worker.py FOLDER N
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import pipeline.training.checkpoint as checkpoint
import pipeline.training.loop as training
from helpers.at_step import at_step
from helpers.small_training import OBJECTIVE, Pairs, training_config
from helpers.small_unet import small_unet
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.system.errors import InterruptedRunError, StraightflowError

SETTINGS = training_config(num_steps=14, log_every_steps=100, checkpoint_every_steps=100)
POISONED = 13


def stop_one(folder: Path, runtime: Runtime) -> None:
    """Only the last process gets SIGTERM, in the fourth step; each writes its error message to ``stopped-RANK``."""

    def ask_the_last() -> None:
        if runtime.accelerator.is_last_process:
            os.kill(os.getpid(), signal.SIGTERM)

    with at_step(3, ask_the_last):
        try:
            training.train(small_unet(), Pairs(), OBJECTIVE, SETTINGS, runtime, folder / "stopped", "stopped")
        except InterruptedRunError as error:
            (folder / f"stopped-{runtime.accelerator.process_index}").write_text(str(error))


def go_on(folder: Path, runtime: Runtime) -> None:
    """Resumes from there, with no process but the main one seeing a whole checkpoint; writes the weights."""
    if not runtime.is_main:
        checkpoint._damage = lambda candidate: f"{candidate} is not seen yet"
    unet = small_unet()
    training.train(unet, Pairs(), OBJECTIVE, SETTINGS, runtime, folder / "stopped", "gone on")
    if runtime.is_main:
        save_file(unet.state_dict(), folder / "gone-on.safetensors")


def break_down(folder: Path, runtime: Runtime) -> None:
    """One process gets a sample of NaN; each writes its error message to ``broken-RANK``."""
    items = Pairs()
    items.x_1[POISONED] = float("nan")
    settings = SETTINGS.model_copy(update={"log_every_steps": 1})
    try:
        training.train(small_unet(), items, OBJECTIVE, settings, runtime, folder / "broken", "broken")
    except StraightflowError as error:
        (folder / f"broken-{runtime.accelerator.process_index}").write_text(error.found)


def main(folder: Path, num_processes: int) -> None:
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes))
    stop_one(folder, runtime)
    if runtime.is_main:
        shutil.copytree(folder / "stopped", folder / "alone/stopped")
    runtime.accelerator.wait_for_everyone()
    go_on(folder, runtime)
    break_down(folder, runtime)
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
