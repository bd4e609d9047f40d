"""Refuses, before the first step, a training run that cannot end well."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from diffusers import ModelMixin

from pipeline.config.training import TrainingConfig
from pipeline.flow.noise import step_generator
from pipeline.methods.objective import Batch, Objective
from pipeline.models.live_memory import Visited, peak_bytes
from pipeline.models.networks import sample_shape
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError
from pipeline.system.memory import readable_bytes
from pipeline.training.muon import hidden_weights, step_bytes
from pipeline.training.samples import TrainingSet, with_progress
from pipeline.training.sharding import largest_block


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
    """Raises StraightflowError unless the network supports gradient checkpointing."""
    if not network._supports_gradient_checkpointing:
        raise StraightflowError(
            expected=f"a network that can recompute activations, as gradient_checkpointing of {label} asks",
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

    Files already in ``folder`` count as free: a resumed run has these checkpoints, and leftovers of a kill are removed.
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
        state_bytes: Weights, gradients, the optimizers' moments and the weight averages, all float32; if sharded, this
            process's part.
        working_bytes: Peak in the forward and backward pass of one micro-batch, including the loss's own networks,
            plus the batch itself and the next one; or what the optimizers' step takes after it, if that is more.
        checkpoint_bytes: One checkpoint on disk.
        copy_bytes: Buckets in which processes exchange gradients, or, if sharded, the gathered block and its gradient;
            plus the weights set aside while their averages are in use.
        companion_bytes: Weights of the models that the method calls besides; every process has all of them.
    """

    num_parameters: int
    state_bytes: int
    working_bytes: int
    checkpoint_bytes: int
    copy_bytes: int = 0
    companion_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Of one process, on its device."""
        return self.state_bytes + self.copy_bytes + self.companion_bytes + self.working_bytes

    def describe(self) -> str:
        """One line for a person."""
        copies = f"{readable_bytes(self.copy_bytes)} copies of them, " if self.copy_bytes else ""
        others = f"{readable_bytes(self.companion_bytes)} other models, " if self.companion_bytes else ""
        return (
            f"{self.num_parameters / 1e6:.2f} M parameters; each process needs about "
            f"{readable_bytes(self.total_bytes)} ({readable_bytes(self.state_bytes)} weights, gradients, moments "
            f"and averages, {copies}{others}{readable_bytes(self.working_bytes)} for a step), a "
            f"checkpoint {readable_bytes(self.checkpoint_bytes)}"
        )


@dataclass(frozen=True)
class Placement:
    """Where a network is trained, as far as its memory depends on it.

    Attributes:
        num_processes: Processes that divide a batch.
        sharded: Whether they divide weights and optimizer as well.
        bf16: Whether the network is called in bfloat16.
        device: Where its activations are counted.
        float32_norms: Whether they are counted for a GPU, where autocast leaves normalisations in float32, as they are
            if ``device`` is one. A compiled network computes them again instead of keeping them.
    """

    num_processes: int
    sharded: bool
    bf16: bool
    device: torch.device
    float32_norms: bool = False

    @staticmethod
    def of(runtime: Runtime) -> Placement:
        """That of a stage that runs."""
        num_processes = int(runtime.accelerator.num_processes)
        return Placement(num_processes, runtime.sharded, runtime.precision == "bf16", runtime.device)


def training_needs(
    network: ModelMixin,
    items: TrainingSet,
    objective: Objective,
    config: TrainingConfig,
    placement: Placement,
    *,
    companion_bytes: int = 0,
    averages_looked_at: bool,
) -> TrainingNeeds:
    """Counts a run's memory; activations are measured on two samples, see :mod:`pipeline.models.live_memory`.

    Args:
        network: In training mode with gradient checkpointing set, in its memory format and on its device for training.
        items: Training samples.
        objective: Loss of a step.
        config: Its training.
        placement: Processes, precision and device.
        companion_bytes: Weights of the models that the method calls besides.
        averages_looked_at: Whether averages replace the weights at times, for held-out loss or watching.
    """
    num_processes = placement.num_processes
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    num_averages = 1 + len(config.ema_other_halflives_images)
    shards = num_processes if placement.sharded else 1
    exchanged = num_parameters if num_processes > 1 else 0
    if placement.sharded:
        exchanged = 2 * largest_block(network)
    # AdamW keeps two moments of a weight, Muon one.
    of_muon = hidden_weights(network) if config.optimizer == "muon" else []
    num_moments = 2 * num_parameters - sum(weight.numel() for weight in of_muon)
    put_aside = num_parameters // shards if averages_looked_at else 0
    return TrainingNeeds(
        num_parameters=num_parameters,
        state_bytes=_FLOAT_BYTES * ((2 + num_averages) * num_parameters + num_moments) // shards,
        working_bytes=max(_activation_bytes(network, items, objective, config, placement), step_bytes(of_muon)),
        checkpoint_bytes=_FLOAT_BYTES * ((1 + num_averages) * num_parameters + num_moments),
        copy_bytes=_FLOAT_BYTES * (exchanged + put_aside),
        companion_bytes=companion_bytes,
    )


def _activation_bytes(
    network: ModelMixin, items: TrainingSet, objective: Objective, config: TrainingConfig, placement: Placement
) -> int:
    share = config.batch_size // placement.num_processes
    visited = Visited(network, bf16=placement.bf16, float32_norms=placement.float32_norms)

    def batch_of(num_samples: int) -> Batch:
        batch = with_progress(items.load(np.arange(num_samples) % len(items)), 0.0)
        arranged = objective.arrange(batch | objective.draw(batch["x_1"], step_generator(config.seed, 0)))
        return {name: values.to(placement.device) for name, values in arranged.items()}

    batches = {num_samples: batch_of(num_samples) for num_samples in (1, 2)}
    sample_bytes = sum(int(values.nbytes) for values in batches[1].values())
    on_gpu = placement.device.type == "cuda"
    untouched = objective.state_dict()
    with torch.random.fork_rng(devices=[placement.device] if on_gpu else []):
        passes = peak_bytes(
            lambda num_samples: objective.loss(visited, batches[num_samples]).mean(),
            list(network.parameters()),
            share // config.gradient_accumulation_steps,
        )
    objective.load_state_dict(untouched)
    return passes + 2 * share * sample_bytes


def weights_bytes(samplers: Sequence[Sampler]) -> int:
    """What the weights of models take."""
    return sum(values.nbytes for item in samplers for values in item.network.parameters())
