"""The student: a velocity field, and its form on disk that stock diffusers opens.

diffusers counts sigma from image (0) to noise (1), we count t from noise (0) to image (1). Here, and only
here, the two meet: the saved network gets ``timestep = 1000 (1 - t)`` and predicts
``dx/dsigma = x_0 - x_1``, so that ``DDPMPipeline`` with a ``FlowMatchEulerDiscreteScheduler`` samples it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMPipeline, FlowMatchEulerDiscreteScheduler, ModelMixin, UNet2DModel

from pipeline.atomic import atomic_folder

NUM_TRAIN_TIMESTEPS = 1000
FIRST_TIME_LAYER = "time_embedding.linear_1."


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


def starting_network(network: ModelMixin) -> ModelMixin:
    """The network that a student starts as: ``network`` with the head and the time input of a velocity field.

    Of a learned-variance head the mean's half is kept. A Fourier time embedding takes the noise's scale and divides
    the output by it; it becomes a positional one with fresh weights in its first layer (Song et al. 2021's networks
    also center images from [0, 1], which ours are not in). Other networks are returned as they are.
    """
    if not isinstance(network, UNet2DModel):
        return network
    unet: UNet2DModel = network
    channels, fourier = unet.config["in_channels"], unet.config["time_embedding_type"] == "fourier"
    if unet.config["out_channels"] == channels and not fourier:
        return unet
    changes: dict[str, object] = {"out_channels": channels}
    if fourier:
        changes |= {"time_embedding_type": "positional", "center_input_sample": False}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student: UNet2DModel = UNet2DModel.from_config(dict(unet.config) | changes)
    weights = unet.state_dict()
    for name in ("conv_out.weight", "conv_out.bias"):
        weights[name] = weights[name][:channels]
    if fourier:
        fresh = {name: values for name, values in student.state_dict().items() if name.startswith(FIRST_TIME_LAYER)}
        weights = {name: values for name, values in weights.items() if not name.startswith("time_proj.")} | fresh
    student.load_state_dict(weights)
    return student


def save_student(network: ModelMixin, folder: Path) -> None:
    """Saves a student as a plain diffusers pipeline, atomically."""
    pipeline = DDPMPipeline(
        unet=network, scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=NUM_TRAIN_TIMESTEPS)
    )
    with atomic_folder(folder) as temporary:
        pipeline.save_pretrained(temporary)
