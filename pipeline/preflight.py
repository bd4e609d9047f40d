"""Refuses, before the first step, a training run that cannot end well."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import DistributedType
from diffusers import ModelMixin

from pipeline.config import TrainingConfig
from pipeline.errors import StraightflowError
from pipeline.memory import TrainingNeeds
from pipeline.networks import sample_shape
from pipeline.training_set import TrainingSet


def require_whole_parameters(accelerator: Accelerator) -> None:
    """Raises StraightflowError where Accelerate is to shard the parameters, and not :mod:`pipeline.sharding`."""
    if accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        raise StraightflowError(
            expected="every process to hold the whole network (data parallel)",
            found=str(accelerator.distributed_type),
            mend="use a configuration of configs/accelerate/ with launch=fsdp, which shards by itself",
        )


def require_divisible_batch(config: TrainingConfig, num_processes: int) -> None:
    """Raises StraightflowError unless every micro-batch of every process has the same size."""
    parts = num_processes * config.gradient_accumulation_steps
    if config.batch_size % parts:
        raise StraightflowError(
            expected=f"a batch_size that divides over {num_processes} processes × "
            f"{config.gradient_accumulation_steps} micro-batches",
            found=str(config.batch_size),
            mend="change batch_size, gradient_accumulation_steps or launch.num_processes",
        )


def require_matching_images(unet: ModelMixin, items: TrainingSet, label: str) -> None:
    """Raises StraightflowError if the samples are not of the network's shape, or there are none."""
    if len(items) == 0:
        raise StraightflowError(
            expected=f"samples to train {label} on",
            found="none",
            mend="make more couplings, or lower heldout_items, which are kept from training",
        )
    expected = sample_shape(unet)
    found = tuple(items.load(np.array([0]))["x_1"].shape[1:])
    if found != expected:
        raise StraightflowError(
            expected=f"samples of shape {expected}, as the initial model of {label} has",
            found=str(found),
            mend="name couplings of that model's shape, or an initial model for these samples",
        )


def require_room(folder: Path, needs: TrainingNeeds, kept: int) -> None:
    """Raises StraightflowError if the disk cannot hold the kept checkpoints and the one being written."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    wanted = (kept + 1) * needs.checkpoint_bytes
    free = shutil.disk_usage(existing).free
    if free < wanted:
        raise StraightflowError(
            expected=f"{wanted / 1e6:,.0f} MB free for {kept + 1} checkpoints in {folder}",
            found=f"{free / 1e6:,.0f} MB",
            mend="free disk space, or lower kept_checkpoints",
        )
