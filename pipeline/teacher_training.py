"""A teacher of one's own: a DDPM trained with the loop the students use, or a checkpoint brought along."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler, ScoreSdeVePipeline, ScoreSdeVeScheduler, UNet2DModel

from pipeline.atomic import atomic_folder
from pipeline.config import UNetConfig
from pipeline.errors import StraightflowError
from pipeline.hub import download_model
from pipeline.models import load_scheduler_config, load_unet
from pipeline.noise_schedule import VARIANCE_EXPLODING, read_noise_schedule


def build_unet(config: UNetConfig, shape: tuple[int, int, int], seed: int) -> UNet2DModel:
    """A fresh UNet for images of ``shape`` (channels, height, width), its weights drawn from ``seed``."""
    down = ["AttnDownBlock2D" if attention else "DownBlock2D" for attention in config.attention]
    up = ["AttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(config.attention)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=shape[1],
            in_channels=shape[0],
            out_channels=shape[0],
            layers_per_block=config.layers_per_block,
            block_out_channels=config.block_out_channels,
            norm_num_groups=config.norm_num_groups,
            attention_head_dim=config.attention_head_dim,
            dropout=config.dropout,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
        )


def training_scheduler() -> DDPMScheduler:
    """The forward process of teachers trained here: linear betas, 1,000 steps (Ho et al. 2020)."""
    return DDPMScheduler(clip_sample=False)


def save_teacher(unet: UNet2DModel, scheduler: DDPMScheduler | ScoreSdeVeScheduler, folder: Path) -> None:
    """Saves a stock ``DDPMPipeline``, or ``ScoreSdeVePipeline`` by the scheduler's kind, atomically."""
    kind = ScoreSdeVePipeline if isinstance(scheduler, ScoreSdeVeScheduler) else DDPMPipeline
    with atomic_folder(folder) as temporary:
        kind(unet=unet, scheduler=scheduler).save_pretrained(temporary)


def adopt_pretrained(name: str, shape: tuple[int, int, int], folder: Path) -> None:
    """Saves the checkpoint ``name``, a local folder or a hub id, as the teacher in ``folder``.

    Raises:
        StraightflowError: If it cannot be had, cannot be read, or makes images of another shape.
    """
    source = Path(name) if Path(name).is_dir() else download_model(name)
    unet = load_unet(source)
    found = (int(unet.config["in_channels"]), int(unet.config["sample_size"]), int(unet.config["sample_size"]))
    if found != shape:
        raise StraightflowError(
            expected=f"a teacher of images (channels, height, width) = {shape}, as the data has",
            found=f"{found} in {name}",
            mend="set data.channels and data.resolution to the teacher's, or name another teacher",
        )
    config = load_scheduler_config(source)
    read_noise_schedule(config)  # refuses what cannot be sampled
    kind = ScoreSdeVeScheduler if config.get("_class_name") == VARIANCE_EXPLODING else DDPMScheduler
    save_teacher(unet, kind.from_config(config), folder)
