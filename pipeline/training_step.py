"""One optimizer step, of one or several micro-batches, without waiting for the device."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from accelerate import Accelerator

from pipeline.config import TrainingConfig
from pipeline.objectives import Batch, Objective
from pipeline.sharding import whole
from pipeline.training_set import micro_batches


def training_step(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    batch: Batch,
    learning_rate: float,
    config: TrainingConfig,
    accelerator: Accelerator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Descends the mean loss of ``batch`` over all processes, its gradient clipped.

    Args:
        network: As wrapped for its processes; gradients are averaged over them at the last micro-batch alone, sharded
            ones at each, so that no process holds them whole.
        optimizer: Of its parameters.
        objective: Loss of each sample.
        batch: This process's share.
        learning_rate: Of this step.
        config: Micro-batches and clipping.
        accelerator: The processes.

    Returns:
        The samples' losses (share,), and the global gradient norm before clipping, both on the device.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    losses = []
    num_micro_batches = config.gradient_accumulation_steps
    for number, micro_batch in enumerate(micro_batches(batch, num_micro_batches), start=1):
        with nullcontext() if number == num_micro_batches else accelerator.no_sync(network):
            sample_losses = objective.loss(network, micro_batch)
            accelerator.backward(sample_losses.mean() / num_micro_batches)
        losses.append(sample_losses.detach())
    gradient_norm: torch.Tensor = accelerator.clip_grad_norm_(network.parameters(), config.gradient_clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return torch.cat(losses), whole(gradient_norm, gradient_norm)
