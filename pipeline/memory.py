"""What a training run will need, known before its first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ModelMixin

from pipeline.compute import Runtime
from pipeline.config import TrainingConfig
from pipeline.networks import num_classes, sample_shape

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


def training_needs(unet: ModelMixin, config: TrainingConfig, runtime: Runtime) -> TrainingNeeds:
    """Counts a run's memory; activations are those of one sample, measured, times the micro-batch.

    Args:
        unet: The network, on the CPU, in training mode, checkpointing set.
        config: Its training.
        runtime: Processes and precision.
    """
    num_parameters = sum(parameter.numel() for parameter in unet.parameters())
    num_averages = 1 + len(config.ema_other_halflives_images)
    shards = runtime.accelerator.num_processes if runtime.sharded else 1
    micro_batch = config.batch_size // (runtime.accelerator.num_processes * config.gradient_accumulation_steps)
    return TrainingNeeds(
        num_parameters=num_parameters,
        state_bytes=(4 + num_averages) * _FLOAT_BYTES * num_parameters // shards,
        activation_bytes=micro_batch * _saved_bytes_per_sample(unet, runtime),
        checkpoint_bytes=(3 + num_averages) * _FLOAT_BYTES * num_parameters,
    )


def _saved_bytes_per_sample(unet: ModelMixin, runtime: Runtime) -> int:
    """Bytes that autograd keeps for the backward pass of one sample, beyond the weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in unet.parameters()}
    shapes = {tuple(sorted(parameter.shape)) for parameter in unet.parameters()}
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

    x = torch.zeros(1, *sample_shape(unet))
    classes = () if num_classes(unet) is None else (torch.zeros(1, dtype=torch.int64),)
    with (
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=runtime.precision == "bf16"),
    ):
        unet(x, torch.zeros(1), *classes)
    return sum(saved.values())


def _readable(num_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"
