"""Refuses, before the first step, a training run that cannot end well."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from diffusers import ModelMixin

from pipeline.config.training import TrainingConfig
from pipeline.models.networks import num_classes, sample_shape
from pipeline.models.runtime import Runtime
from pipeline.system.errors import StraightflowError
from pipeline.training.samples import TrainingSet


def require_whole_parameters(accelerator: Accelerator) -> None:
    """Raises StraightflowError where Accelerate, not :mod:`pipeline.training.sharding`, would shard the parameters."""
    if accelerator.distributed_type not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        raise StraightflowError(
            expected="every process to hold the whole network (data parallel)",
            found=str(accelerator.distributed_type),
            mend="use a configuration of configs/accelerate/ with launch=fsdp, which shards by itself",
        )


def require_divisible_batch(config: TrainingConfig, num_processes: int) -> None:
    """Raises StraightflowError unless every micro-batch of every process has the same size."""
    problem = config.batch_problem(num_processes)
    if problem is not None:
        raise StraightflowError(
            expected="micro-batches of one size",
            found=problem,
            mend="change batch_size, gradient_accumulation_steps or launch.num_processes",
        )


def require_gradient_checkpointing(network: ModelMixin, label: str) -> None:
    """Raises StraightflowError unless the network can compute its activations twice."""
    if not network._supports_gradient_checkpointing:
        raise StraightflowError(
            expected=f"a network that can compute activations twice, as gradient_checkpointing asks of {label}",
            found=type(network).__name__,
            mend="set gradient_checkpointing: false, or raise gradient_accumulation_steps to save memory",
        )


def require_matching_images(network: ModelMixin, items: TrainingSet, label: str) -> None:
    """Raises StraightflowError if the samples are not of the network's shape, or there are none."""
    if len(items) == 0:
        raise StraightflowError(
            expected=f"samples to train {label} on",
            found="none",
            mend="make more couplings, or lower heldout_items, which are kept from training",
        )
    expected = sample_shape(network)
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


_FLOAT_BYTES = 4


@dataclass(frozen=True)
class TrainingNeeds:
    """Bytes of one training process and of one checkpoint.

    Attributes:
        num_parameters: Trained weights.
        state_bytes: Weights, gradients, both moments of Adam and the weight averages, all float32; sharded, without the
            block's weights that are gathered at the time.
        activation_bytes: What the backward pass of one micro-batch keeps.
        checkpoint_bytes: One checkpoint on disk.
    """

    num_parameters: int
    state_bytes: int
    activation_bytes: int
    checkpoint_bytes: int

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"{self.num_parameters / 1e6:.2f} M parameters; each process needs about "
            f"{_readable(self.state_bytes + self.activation_bytes)} ({_readable(self.state_bytes)} weights, gradients, "
            f"Adam and averages, {_readable(self.activation_bytes)} activations), a checkpoint "
            f"{_readable(self.checkpoint_bytes)}"
        )


def training_needs(network: ModelMixin, config: TrainingConfig, runtime: Runtime) -> TrainingNeeds:
    """Counts a run's memory; activations are those of one sample, measured, times the micro-batch.

    Args:
        network: The network, on the CPU, in training mode, checkpointing set.
        config: Its training.
        runtime: Processes and precision.
    """
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    num_averages = 1 + len(config.ema_other_halflives_images)
    shards = runtime.accelerator.num_processes if runtime.sharded else 1
    micro_batch = config.batch_size // (runtime.accelerator.num_processes * config.gradient_accumulation_steps)
    return TrainingNeeds(
        num_parameters=num_parameters,
        state_bytes=(4 + num_averages) * _FLOAT_BYTES * num_parameters // shards,
        activation_bytes=micro_batch * _saved_bytes_per_sample(network, runtime),
        checkpoint_bytes=(3 + num_averages) * _FLOAT_BYTES * num_parameters,
    )


def _saved_bytes_per_sample(network: ModelMixin, runtime: Runtime) -> int:
    """Bytes that autograd keeps for the backward pass of one sample, beyond the weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    shapes = {tuple(sorted(parameter.shape)) for parameter in network.parameters()}
    saved: dict[int, int] = {}
    kept_alive: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        # Autocast saves bfloat16 copies of weights, whose number does not grow with the batch.
        is_weight_copy = tensor.dtype == torch.bfloat16 and tuple(sorted(tensor.shape)) in shapes
        if storage.data_ptr() not in weights and not is_weight_copy:
            saved[storage.data_ptr()] = storage.nbytes()
            kept_alive.append(tensor)
        return tensor

    x = torch.zeros(1, *sample_shape(network))
    classes = () if num_classes(network) is None else (torch.zeros(1, dtype=torch.int64),)
    with (
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=runtime.precision == "bf16"),
    ):
        network(x, torch.zeros(1), *classes)
    return sum(saved.values())


def _readable(num_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"
