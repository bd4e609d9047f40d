"""The one training loop: teacher, reflow student and one-step distillation alike."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from diffusers import UNet2DModel
from torch.utils.data import DataLoader, Dataset

from pipeline.batches import BatchOrder
from pipeline.checkpoint import TrainingState, load_newest_checkpoint, save_checkpoint
from pipeline.compute import Runtime
from pipeline.config import TrainingConfig
from pipeline.ema import Ema, ema_decay
from pipeline.errors import StraightflowError
from pipeline.noise import step_generator
from pipeline.objectives import Batch, Objective
from pipeline.progress import Progress


class TrainingSet(Protocol):
    """Samples addressed by index."""

    def __len__(self) -> int:
        """Number of samples."""

    def load(self, indices: np.ndarray) -> Batch:
        """CPU tensors of these samples, ``x_1`` among them."""


class StepBatches(Dataset[Batch]):
    """Item k is this process's share of step k's batch with its random numbers.

    Random numbers are drawn for the global batch and then divided, so that a step is the same for any
    number of processes, and a resumed run needs no generator state.
    """

    def __init__(self, items: TrainingSet, objective: Objective, config: TrainingConfig, rank: int, ranks: int) -> None:
        self._items, self._objective, self._seed = items, objective, config.seed
        self._order = BatchOrder(config.seed, config.batch_size, len(items))
        share = config.batch_size // ranks
        self._rows = slice(rank * share, (rank + 1) * share)
        self._num_steps, self._batch_size = config.num_steps, config.batch_size

    def __len__(self) -> int:
        return self._num_steps

    def __getitem__(self, step: int) -> Batch:
        batch = self._items.load(self._order(step)[self._rows])
        like_global = torch.empty(self._batch_size, *batch["x_1"].shape[1:], device="meta")
        drawn = self._objective.draw(like_global, step_generator(self._seed, step))
        return batch | {name: values[self._rows] for name, values in drawn.items()}


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Learning rate of optimizer step ``step`` (from 0): linear warm-up, then the configured decay to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(config.num_steps - config.warmup_steps, 1)
    factor = {"constant": 1.0, "linear": 1 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share))}
    return config.learning_rate * factor[config.lr_decay]


def train(
    unet: UNet2DModel,
    items: TrainingSet,
    objective: Objective,
    config: TrainingConfig,
    runtime: Runtime,
    run_folder: Path,
    label: str,
) -> list[tuple[int, float, float]]:
    """Trains ``unet`` in place and leaves the EMA weights in it.

    A run interrupted at any moment continues from its newest checkpoint and ends with the same weights.

    Args:
        unet: Network with its starting weights.
        items: Training samples.
        objective: Loss of a step.
        config: Settings.
        runtime: Processes, device, precision.
        run_folder: Where checkpoints live; must be particular to these inputs.
        label: Name shown beside the progress.

    Returns:
        Rows (step, mean loss since the row before, learning rate).

    Raises:
        StraightflowError: If the batch does not divide over processes, or the loss stops being finite.
    """
    accelerator = runtime.accelerator
    if config.batch_size % accelerator.num_processes:
        raise StraightflowError(
            expected=f"a batch_size that divides over {accelerator.num_processes} processes",
            found=str(config.batch_size),
            mend="change batch_size or launch.num_processes",
        )
    unet.train()
    ema = Ema(unet.to(runtime.device).parameters())
    if runtime.channels_last:
        unet.to(memory_format=torch.channels_last)
    if runtime.compile:
        unet.compile()
    optimizer = torch.optim.AdamW(
        unet.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    network, optimizer = accelerator.prepare(unet, optimizer)
    state = TrainingState(step=0, history=[])
    accelerator.register_for_checkpointing(ema, state)
    load_newest_checkpoint(accelerator, run_folder)

    batches = StepBatches(items, objective, config, accelerator.process_index, accelerator.num_processes)
    on_gpu = runtime.device.type == "cuda"
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(state.step, config.num_steps),
        num_workers=4 if on_gpu else 0,
        pin_memory=on_gpu,
    )
    loss_sum = torch.zeros((), device=runtime.device)
    losses_in_sum = 0
    with Progress(label, config.num_steps, "steps", done=state.step, enabled=runtime.is_main) as progress:
        for batch in loader:
            learning_rate = learning_rate_at(state.step, config)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            on_device = {name: values.to(runtime.device, non_blocking=True) for name, values in batch.items()}
            loss = objective.loss(network, on_device).mean()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(network.parameters(), config.gradient_clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            state.step += 1
            ema.update(
                ema_decay(
                    batch_size=config.batch_size,
                    cur_nimg=state.step * config.batch_size,
                    halflife_images=config.ema_halflife_images,
                    rampup_ratio=config.ema_rampup_ratio,
                )
            )
            loss_sum += loss.detach()
            losses_in_sum += 1
            note = None
            if state.step % config.log_every_steps == 0 or state.step == config.num_steps:
                mean = float(accelerator.reduce(loss_sum, "mean")) / losses_in_sum
                _require_finite(mean, state.step, label)
                state.history.append((state.step, mean, learning_rate))
                loss_sum.zero_()
                losses_in_sum = 0
                note = f"loss {mean:.4g}"
            if state.step % config.checkpoint_every_steps == 0 and state.step < config.num_steps:
                save_checkpoint(accelerator, run_folder, state.step)
            progress.advance(note=note)
    ema.copy_to_parameters()
    accelerator._custom_objects.clear()
    accelerator.free_memory()
    unet.eval()
    return state.history


def _require_finite(loss: float, step: int, label: str) -> None:
    if not math.isfinite(loss):
        raise StraightflowError(
            expected=f"a finite loss while training {label}",
            found=f"{loss} at step {step}",
            mend="lower learning_rate or set compute.precision: fp32; the last good checkpoint is kept",
        )
