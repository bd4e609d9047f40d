"""Refuses, before the first step, a training run that cannot end well."""

from __future__ import annotations

import math
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


def require_gradient_checkpointing(unet: ModelMixin, label: str) -> None:
    """Raises StraightflowError unless the network can compute its activations twice."""
    if not unet._supports_gradient_checkpointing:
        raise StraightflowError(
            expected=f"a network that can compute activations twice, as gradient_checkpointing asks of {label}",
            found=type(unet).__name__,
            mend="set gradient_checkpointing: false, or raise gradient_accumulation_steps to save memory",
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


def require_room(folder: Path, needs: TrainingNeeds, config: TrainingConfig) -> None:
    """Raises StraightflowError if the disk cannot hold all checkpoints that are to be kept and the one being written.

    Those of a run that goes on are there already, and what a kill left of another gives its place back.
    """
    count = config.kept_checkpoints + 1
    if config.marked_checkpoint_every_steps is not None:
        marked_every_steps = math.lcm(config.checkpoint_every_steps, config.marked_checkpoint_every_steps)
        count += (config.num_steps - 1) // marked_every_steps
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(existing).free
    held = sum(item.stat().st_size for item in folder.rglob("*") if item.is_file())
    wanted = count * needs.checkpoint_bytes
    if free + held < wanted:
        raise StraightflowError(
            expected=f"{wanted / 1e6:,.0f} MB free for {count} checkpoints in {folder}",
            found=f"{free / 1e6:,.0f} MB" + (f" and {held / 1e6:,.0f} MB of checkpoints already there" if held else ""),
            mend="free disk space, lower kept_checkpoints, or raise marked_checkpoint_every_steps",
        )
