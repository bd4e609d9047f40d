"""The one training loop: teacher, flows and students of every method alike.

The code of a step is in eight files: this one; :mod:`pipeline.training.samples`, what its batch is;
a method, such as :mod:`pipeline.methods.reflow`, what it minimises, by :mod:`pipeline.flow.timesteps`,
:mod:`pipeline.flow.paths`, :mod:`pipeline.models.student` and :mod:`pipeline.flow.losses`; and
:mod:`pipeline.training.ema`, the average of the weights.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import ModelMixin

from pipeline.config.training import TrainingConfig
from pipeline.methods.objective import Batch, Objective
from pipeline.models.counted import CountedNetwork
from pipeline.models.flops import flops_per_sample
from pipeline.models.networks import num_classes, sample_shape
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.models.student import takes_two_times
from pipeline.system.compute import Compute
from pipeline.system.errors import InterruptedRunError
from pipeline.system.progress import Progress
from pipeline.training.checkpoint import CheckpointFolder, TrainingState
from pipeline.training.dropout import has_dropout, seed_dropout
from pipeline.training.ema import Ema
from pipeline.training.heldout import heldout_loss
from pipeline.training.interruption import StopRequest
from pipeline.training.loader import batches_from, lost_workers_named, num_workers_for
from pipeline.training.meter import LossRecord, Meter
from pipeline.training.nonfinite import require_finite
from pipeline.training.preflight import (
    Placement,
    require_divisible_batch,
    require_gradient_checkpointing,
    require_matching_images,
    require_room,
    require_whole_parameters,
    training_needs,
    weights_bytes,
)
from pipeline.training.samples import Mirrored, StepBatches, TrainingSet, micro_batches
from pipeline.training.setup import place_for_training, prepared
from pipeline.training.sharding import to_full
from pipeline.training.spending import Spending
from pipeline.training.watching import Watcher, is_due


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves besides the weights.

    Attributes:
        history: What was recorded during the run.
        heldout_loss_by_halflife: Held-out loss of each weight average at the end; empty without held-out samples.
        halflife_images: Half-life of the average that became the model.
        averages: All averages; each can still be copied into the network, unless they are sharded.
        seconds: Wall time since the start or the checkpoint continued from, including everything between steps.
        num_images: Images trained on in that time.
        compute: Of the whole run, with companions and held-out losses, without watching.
    """

    history: list[LossRecord]
    heldout_loss_by_halflife: dict[int, float]
    halflife_images: int
    averages: Sequence[Ema] = field(compare=False, repr=False)
    seconds: float = field(compare=False)
    num_images: int = field(compare=False)
    compute: Compute = field(compare=False)


def train(
    network: ModelMixin,
    items: TrainingSet,
    objective: Objective,
    config: TrainingConfig,
    runtime: Runtime,
    run_folder: Path,
    label: str,
    *,
    heldout: TrainingSet | None = None,
    companions: Sequence[Sampler] = (),
    watcher: Watcher | None = None,
) -> TrainingResult:
    """Trains ``network`` in place and leaves the averaged weights in it.

    A run interrupted at any moment continues from its newest checkpoint and ends with the same weights.

    Args:
        network: With its starting weights.
        items: Training samples.
        objective: Loss of a step.
        config: Settings.
        runtime: Processes, device, precision.
        run_folder: Where checkpoints live; must be used for these inputs alone.
        label: Name shown beside the progress.
        heldout: Samples never trained on, to measure the loss on; None for none.
        companions: Models that the objective calls besides the network; their calls and memory count.
        watcher: Receives each record as it is made.

    Raises:
        StraightflowError: If the run cannot end well (checked before the first step), or a loss or gradient stops
            being finite; the last checkpoint before that is kept.
        InterruptedRunError: If SIGTERM or Ctrl-C came; a checkpoint of the last finished step is saved.
    """
    accelerator, device = runtime.accelerator, runtime.device
    if config.horizontal_flips:
        items = Mirrored(items)

    # ------------------------------------------------------------------------------------------------------------------
    # refuse what cannot end well
    require_whole_parameters(accelerator)
    require_divisible_batch(config, accelerator.num_processes)
    require_matching_images(network, items, label)
    network.train()
    if config.gradient_checkpointing:
        require_gradient_checkpointing(network, label)
        network.enable_gradient_checkpointing()
    place_for_training(network, runtime)
    looked_at = watcher is not None and any(map(watcher.looks_at, range(1, config.num_steps + 1)))
    needs = training_needs(
        network,
        items,
        objective,
        config,
        Placement.of(runtime),
        companion_bytes=weights_bytes(companions),
        averages_looked_at=heldout is not None or looked_at,
    )
    require_room(run_folder, needs, config)
    two_times = takes_two_times(network.config)
    flops = flops_per_sample(network, sample_shape(network), num_classes(network), two_times=two_times)
    batches = StepBatches(items, objective, config, accelerator.process_index, accelerator.num_processes)
    num_workers = num_workers_for(batches, runtime)
    if runtime.is_main:
        print(f"{label}: {needs.describe()}", file=sys.stderr)

    # ------------------------------------------------------------------------------------------------------------------
    # set up, and go on from the newest checkpoint
    drops = has_dropout(network)
    meter = Meter(accelerator, config.batch_size // accelerator.num_processes)
    stop = StopRequest(accelerator)
    checkpoints = CheckpointFolder(
        accelerator,
        run_folder,
        run=run_folder.name,
        kept=config.kept_checkpoints,
        marked_every_steps=config.marked_checkpoint_every_steps,
    )
    with checkpoints.held(), prepared(network, config, runtime) as (wrapped, optimizers), stop.listening():
        emas = [
            Ema(wrapped.parameters(), halflife_images=halflife, rampup_ratio=config.ema_rampup_ratio)
            for halflife in config.halflives_images
        ]
        spending = Spending(flops, accelerator, companions)
        counted = CountedNetwork(wrapped, spending.calls)
        state = TrainingState(wrapped, optimizers, emas, meter, spending, objective=objective)
        checkpoints.load_newest(state)
        first_step, began = state.step, time.monotonic()

        def measure(ema: Ema) -> float | None:
            if heldout is None:
                return None
            with ema.in_place():
                return heldout_loss(
                    counted,
                    heldout,
                    objective,
                    runtime,
                    batch_size=config.batch_size,
                    seed=config.seed,
                    num_micro_batches=config.gradient_accumulation_steps,
                )

        with (
            Progress(label, config.num_steps, "steps", done=state.step, enabled=runtime.is_main) as progress,
            lost_workers_named(),
            closing(batches_from(batches, state.step, device, num_workers=num_workers)) as loaded,
        ):
            for batch in loaded:
                # ------------------------------------------------------------------------------------------------------
                # one step; the host does not wait for the device
                learning_rate = learning_rate_at(state.step, config)
                if drops:
                    seed_dropout(config.seed, state.step, accelerator.process_index)
                losses, gradient_norm = training_step(
                    counted, optimizers, objective, batch, learning_rate, config, accelerator
                )
                state.step += 1
                for ema in emas:
                    ema.update(config.batch_size, state.step * config.batch_size)
                meter.add(state.step, losses, objective.times(batch), gradient_norm)

                # ------------------------------------------------------------------------------------------------------
                # what is due after it
                last = state.step == config.num_steps
                measuring = heldout is not None and (last or is_due(state.step, config.heldout_every_steps))
                recording = last or measuring or is_due(state.step, config.log_every_steps)
                stopping = not last and stop.made(state.step)
                saving = stopping or (not last and is_due(state.step, config.checkpoint_every_steps))
                looking = watcher is not None and watcher.looks_at(state.step)
                notes: list[str | None] = []
                if recording or saving or looking:
                    require_finite(meter, batches, objective, items, label)

                # ------------------------------------------------------------------------------------------------------
                # record
                if recording:
                    reading = meter.read()
                    record = LossRecord(
                        state.step,
                        reading.loss,
                        learning_rate,
                        reading.gradient_norm,
                        reading.loss_by_time,
                        measure(emas[0]) if measuring else None,
                    )
                    state.history.append(record)
                    notes.append(f"loss {record.loss:.4g}")
                    if watcher is not None:
                        watcher.record(record, config.batch_size)

                # ------------------------------------------------------------------------------------------------------
                # look
                if watcher is not None and looking:
                    with spending.paused(), emas[0].in_place():
                        notes.append(watcher.look(wrapped, state.step))

                # ------------------------------------------------------------------------------------------------------
                # save, or stop
                if saving:
                    with spending.paused():
                        checkpoints.save(state)
                progress.advance(note=", ".join(filter(None, notes)) or None)
                if stopping:
                    raise InterruptedRunError(
                        f"{label} was asked to stop and saved step {state.step} of {config.num_steps}"
                    )

        # --------------------------------------------------------------------------------------------------------------
        # the average that becomes the model
        seconds = time.monotonic() - began
        measured, chosen = _choose_average(state, measure)
        compute = spending.total()
    network.eval()
    num_images = (state.step - first_step) * config.batch_size
    return TrainingResult(state.history, measured, chosen.halflife_images, emas, seconds, num_images, compute)


def training_step(
    network: CountedNetwork,
    optimizers: Sequence[torch.optim.Optimizer],
    objective: Objective,
    batch: Batch,
    learning_rate: float,
    config: TrainingConfig,
    accelerator: Accelerator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Takes one optimizer step on the mean loss of ``batch`` over all processes, with its gradient clipped.

    Args:
        network: Around the one that is wrapped for its processes. Gradients are averaged over these only at the last
            micro-batch; sharded ones at each, so that no process holds them whole.
        optimizers: Each of some of its parameters.
        objective: Loss of each sample.
        batch: This process's share.
        learning_rate: Of this step.
        config: Micro-batches and clipping.
        accelerator: The processes.

    Returns:
        The samples' losses (share,), and the global gradient norm before clipping, both on the device.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
    losses = []
    num_micro_batches = config.gradient_accumulation_steps
    for number, micro_batch in enumerate(micro_batches(batch, num_micro_batches), start=1):
        with nullcontext() if number == num_micro_batches else accelerator.no_sync(network.network):
            sample_losses = objective.loss(network, micro_batch)
            accelerator.backward(sample_losses.mean() / num_micro_batches)
        losses.append(sample_losses.detach())
    gradient_norm: torch.Tensor = accelerator.clip_grad_norm_(network.parameters(), config.gradient_clip_norm)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return torch.cat(losses), to_full(gradient_norm, gradient_norm)


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Learning rate of optimizer step ``step`` (from 0): linear warm-up, then the configured decay to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(config.num_steps - config.warmup_steps, 1)
    factor = {"constant": 1.0, "linear": 1 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share))}
    return config.learning_rate * factor[config.lr_decay]


def _choose_average(state: TrainingState, measure: Callable[[Ema], float | None]) -> tuple[dict[int, float], Ema]:
    """Leaves the average of lowest held-out loss in the network; the default one if there is nothing to compare."""
    measured = {ema.halflife_images: loss for ema in state.emas if (loss := measure(ema)) is not None}
    chosen = min(state.emas, key=lambda ema: measured[ema.halflife_images]) if measured else state.emas[0]
    chosen.copy_to_parameters()
    return measured, chosen
