"""diffusers' ``UNet2DModel``, the network for images: built with fresh weights, or made a student from a teacher."""

from __future__ import annotations

import torch
from diffusers import UNet2DModel

from pipeline.config.network import UNetConfig
from pipeline.models.student import takes_two_times
from pipeline.system.random_state import seeded

FIRST_TIME_LAYER = "time_embedding.linear_1."


def build_unet(config: UNetConfig, shape: tuple[int, ...], num_classes: int | None = None) -> UNet2DModel:
    """A fresh network for images of ``shape`` (channels, height, width), conditioned on so many classes if on any."""
    down = ["AttnDownBlock2D" if attention else "DownBlock2D" for attention in config.attention]
    up = ["AttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(config.attention)]
    return UNet2DModel(
        sample_size=shape[1] if shape[1] == shape[2] else shape[1:],
        in_channels=shape[0],
        out_channels=shape[0],
        layers_per_block=config.layers_per_block,
        block_out_channels=config.block_out_channels,
        norm_num_groups=config.norm_num_groups,
        attention_head_dim=config.attention_head_dim,
        dropout=config.dropout,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        num_class_embeds=num_classes,
    )


def velocity_unet(unet: UNet2DModel) -> UNet2DModel:
    """``unet`` with the head and the time input of a velocity field; itself if it has them already.

    Of a learned-variance head only the half for the mean is kept. A network with a Fourier time embedding takes the
    noise scale and divides its output by it; the embedding becomes a positional one with fresh weights in its first
    layer. Song et al. 2021's networks also center images from [0, 1]; ours are in [-1, 1], so that is turned off.
    """
    channels, fourier = unet.config["in_channels"], unet.config["time_embedding_type"] == "fourier"
    if unet.config["out_channels"] == channels and not fourier:
        return unet
    changes: dict[str, object] = {"out_channels": channels}
    if fourier:
        changes |= {"time_embedding_type": "positional", "center_input_sample": False}
    with seeded(0):
        student: UNet2DModel = UNet2DModel.from_config(dict(unet.config) | changes)
    weights = unet.state_dict()
    for name in ("conv_out.weight", "conv_out.bias"):
        weights[name] = weights[name][:channels]
    if fourier:
        fresh = {name: values for name, values in student.state_dict().items() if name.startswith(FIRST_TIME_LAYER)}
        weights = {name: values for name, values in weights.items() if not name.startswith("time_proj.")} | fresh
    student.load_state_dict(weights)
    return student


def flow_map_unet(unet: UNet2DModel) -> UNet2DModel:
    """:func:`velocity_unet` that also takes the time that a step ends at, and predicts the mean velocity until then.

    The end goes through an embedding of its own, which stock networks have for classes (``class_embed_type``
    ``timestep``) and add to that of t. It starts as the one of t with zeros in its last layer, so that at first the
    mean velocity is the velocity, whatever the end. A network that takes it already is returned as it is.
    """
    unet = velocity_unet(unet)
    if takes_two_times(unet.config):
        return unet
    # Not from_config: it takes settings for defaults that were left out when the network was made.
    settings = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    with seeded(0):
        student = UNet2DModel(**settings | {"class_embed_type": "timestep"})
    weights = unet.state_dict()
    for part in ("weight", "bias"):
        weights[f"class_embedding.linear_1.{part}"] = weights[f"time_embedding.linear_1.{part}"].clone()
        weights[f"class_embedding.linear_2.{part}"] = torch.zeros_like(weights[f"time_embedding.linear_2.{part}"])
    student.load_state_dict(weights)
    return student
