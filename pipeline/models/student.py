"""The student: a velocity field, and its form on disk that stock diffusers opens.

diffusers counts sigma from image (0) to noise (1), we count t from noise (0) to image (1). Here, and only
here, the two meet: the saved network gets ``timestep = 1000 (1 - t)`` and predicts
``dx/dsigma = x_0 - x_1``, so that ``DDPMPipeline`` with a ``FlowMatchEulerDiscreteScheduler`` samples it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.system.atomic import atomic_folder

if TYPE_CHECKING:
    from diffusers import ModelMixin

NUM_TRAIN_TIMESTEPS = 1000


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
    """Saves a student as a plain diffusers pipeline, atomically."""
    # With SciPy's statistics and networks of all kinds, which only whoever saves waits for.
    from diffusers import DDPMPipeline, FlowMatchEulerDiscreteScheduler

    pipeline = DDPMPipeline(
        unet=network, scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=NUM_TRAIN_TIMESTEPS)
    )
    with atomic_folder(folder) as temporary:
        pipeline.save_pretrained(temporary)
