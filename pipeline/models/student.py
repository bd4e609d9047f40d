"""The student: a velocity field, saved in a form that stock diffusers opens.

diffusers counts sigma from image (0) to noise (1), we count t from noise (0) to image (1). Here, and only
here, the two meet: the saved network gets ``timestep = 1000 (1 - t)`` and predicts
``dx/dsigma = x_0 - x_1``, so that ``DDPMPipeline`` with a ``FlowMatchEulerDiscreteScheduler`` samples it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.system.atomic import atomic_folder
from pipeline.system.file_hashes import HASHES, write_hashes

if TYPE_CHECKING:
    from diffusers import ModelMixin

NUM_TRAIN_TIMESTEPS = 1000
FLOW_SCHEDULER = "FlowMatchEulerDiscreteScheduler"


def predict_velocity(
    network: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
) -> torch.Tensor:
    """The student's velocity.

    Args:
        network: Predicts x_0 - x_1 at timestep 1000 (1 - t).
        x_t: (batch, …).
        t: (batch,) in [0, 1].
        labels: Classes, (batch,); None for an unconditional network.

    Returns:
        Float32, shape of ``x_t``.
    """
    classes = () if labels is None else (labels,)
    prediction: torch.Tensor = network(x_t, NUM_TRAIN_TIMESTEPS * (1 - t), *classes).sample
    return -prediction.float()


def save_student(network: ModelMixin, folder: Path) -> None:
    """Saves a student as a plain diffusers pipeline with the hashes of its files, atomically."""
    # With SciPy's statistics and networks of all kinds, which only whoever saves waits for.
    from diffusers import DDPMPipeline, FlowMatchEulerDiscreteScheduler

    pipeline = DDPMPipeline(
        unet=network, scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=NUM_TRAIN_TIMESTEPS)
    )
    with atomic_folder(folder, ours=is_saved_pipeline) as temporary:
        pipeline.save_pretrained(temporary)
        write_hashes(temporary)


def is_saved_pipeline(folder: Path) -> bool:
    """Whether ``folder`` holds the files of a model as it is saved here, teacher or student, and nothing else."""
    files = {item.relative_to(folder).as_posix() for item in folder.rglob("*") if not item.is_dir()}
    weights = {name for name in files if name.startswith("unet/diffusion_pytorch_model")}
    parts = {"model_index.json", "scheduler/scheduler_config.json", "unet/config.json"}
    return bool(weights) and files - {HASHES} == parts | weights


def is_saved_student(folder: Path) -> bool:
    """Whether ``folder`` holds a student as :func:`save_student` leaves it, and nothing else."""
    return is_saved_pipeline(folder) and read_scheduler_config(folder).get("_class_name") == FLOW_SCHEDULER
