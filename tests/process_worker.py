"""What one of several processes runs in tests/test_processes.py: couplings, then trainings, into one folder.

torchrun --nproc-per-node N tests/process_worker.py FOLDER N
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.compute import Runtime, open_runtime
from pipeline.config import ComputeConfig, CouplingsConfig, LaunchConfig, SolverConfig, TrainingConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.losses import l2
from pipeline.models import load_sampler
from pipeline.networks import load_network
from pipeline.objectives import VelocityRegression
from pipeline.timesteps import uniform
from pipeline.training import train

COUPLINGS = CouplingsConfig(
    source="round1",
    num_pairs=45,
    solver=SolverConfig(name="euler", num_steps=2),
    batch_size=4,
    shard_pairs=10,
    dtype="uint8",
    seed=7,
)
TRAINING = TrainingConfig(
    num_steps=8,
    batch_size=6,
    learning_rate=1e-3,
    lr_decay="linear",
    warmup_steps=2,
    weight_decay=0.0,
    gradient_clip_norm=1.0,
    ema_halflife_images=20,
    ema_rampup_ratio=0.5,
    log_every_steps=4,
    checkpoint_every_steps=3,
    heldout_items=20,
    heldout_every_steps=4,
    seed=0,
)


class FixedPairs:
    """Twenty pairs that every process makes alike."""

    def __init__(self) -> None:
        self.x_0, self.x_1 = torch.randn(2, 20, 1, 8, 8, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return 20

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        return {"x_0": self.x_0[indices], "x_1": self.x_1[indices]}

    def locate(self, index: int) -> str:
        return f"pair {index}"


OBJECTIVE = VelocityRegression(uniform, l2)


def work(folder: Path, runtime: Runtime) -> None:
    """Writes ``store-N`` and, N processes, what :func:`train_once` says for three trainings.

    ``whole`` starts from nothing; ``accumulated`` divides each batch once more; ``continued`` goes on from the
    checkpoints in ``interrupted``.
    """
    count = runtime.accelerator.num_processes
    student = folder / "student"
    generate_couplings(load_sampler(student, runtime), COUPLINGS, folder / f"runs-{count}", folder / f"store-{count}")
    train_once("whole", TRAINING, folder, runtime)
    if count < 3:
        accumulated = TRAINING.model_copy(update={"gradient_accumulation_steps": 3})
        train_once("accumulated", accumulated, folder, runtime)
    if runtime.is_main:
        shutil.copytree(folder / "interrupted", folder / f"continued-{count}")
    runtime.accelerator.wait_for_everyone()
    train_once("continued", TRAINING, folder, runtime)


def train_once(name: str, config: TrainingConfig, folder: Path, runtime: Runtime) -> None:
    """Writes ``<name>-N.safetensors``, the weights, and ``<name>-N.json``, steps, losses and held-out losses."""
    run = f"{name}-{runtime.accelerator.num_processes}"
    unet = load_network(folder / "student")
    result = train(unet, FixedPairs(), OBJECTIVE, config, runtime, folder / run, name, heldout=FixedPairs())
    if runtime.is_main:
        save_file(unet.cpu().state_dict(), folder / f"{run}.safetensors")
        (folder / f"{run}.json").write_text(
            json.dumps([(row.step, row.loss, row.heldout_loss) for row in result.history])
        )


def main(folder: Path, num_processes: int) -> None:
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes))
    work(folder, runtime)
    (folder / f"finished-{num_processes}-{runtime.accelerator.process_index}").write_text("")
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
