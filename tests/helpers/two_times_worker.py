"""Script of each process in tests/training/test_two_times.py: trainings of two times, in one folder.

torchrun --nproc-per-node N tests/helpers/two_times_worker.py FOLDER N
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from helpers.process_worker import TRAINING, run_name, train_once
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.flow import LossConfig
from pipeline.config.methods import MeanFlowConfig, ShortcutConfig
from pipeline.methods.build import build_method
from pipeline.models.runtime import Runtime, open_runtime

METHODS = {"mean-flow": MeanFlowConfig(share_of_velocity=0.5), "shortcut": ShortcutConfig()}


def work(folder: Path, runtime: Runtime) -> None:
    """Writes the files of :func:`helpers.process_worker.train_once` for every method; ``student`` takes two times."""
    for name, method in METHODS.items():
        objective = build_method(method, LossConfig(name="l2"), runtime.device)
        train_once(name, TRAINING, folder, runtime, objective=objective)


def main(folder: Path, num_processes: int) -> None:
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes))
    work(folder, runtime)
    (folder / f"{run_name('finished', runtime)}-{runtime.accelerator.process_index}").write_text("")
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
