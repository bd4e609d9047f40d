"""What the training stages share: run folder, held-out data, watching and training curve."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin

from pipeline.atomic import atomic_file, write_json
from pipeline.compute import Runtime
from pipeline.config import SolverConfig, WatchConfig
from pipeline.errors import StraightflowError
from pipeline.fingerprint import fingerprint_json
from pipeline.heldout import heldout_split
from pipeline.image_set import open_images
from pipeline.meter import TIME_BUCKETS
from pipeline.models import Sampler
from pipeline.networks import noise_of, num_classes, sample_shape
from pipeline.noise import stream_key
from pipeline.noise_schedule import NoiseSchedule
from pipeline.training import TrainingResult
from pipeline.training_set import Subset
from pipeline.watching import Preview, Watcher
from stages import paths

PREVIEW_IMAGES = 64
HELDOUT_DATA_SEED = 0


def run_folder(name: str, inputs: list[Any]) -> Path:
    """Folder of a run's checkpoints, particular to everything its result depends on."""
    return paths.RUNS / f"train-{name}-{fingerprint_json(inputs)[:16]}"


def heldout_data(wanted: int, key: str) -> Subset | None:
    """A spread of ``wanted`` held-out images or points, None for 0; ``key`` names the training's settings in errors."""
    if not wanted:
        return None
    data = open_images(paths.IMAGES, "heldout")
    if len(data) < wanted:
        raise StraightflowError(
            expected=f"{wanted} held-out samples, as {key}.heldout_items says",
            found=str(len(data)),
            mend="lower it, or raise data.heldout_share",
        )
    return Subset(data, heldout_split(len(data), wanted, HELDOUT_DATA_SEED)[1])


@contextmanager
def watching(
    config: WatchConfig,
    name: str,
    network: ModelMixin,
    noise_schedule: NoiseSchedule | None,
    solver: SolverConfig,
    runtime: Runtime,
) -> Iterator[Watcher]:
    """A watcher of the training of ``network``, called ``name``; see :func:`preview_of` for what it draws."""
    shape = sample_shape(network)
    if config.samples_every_steps is not None and len(shape) != 3:
        raise StraightflowError(
            expected="images, for watch.samples_every_steps",
            found=f"samples of shape {shape}",
            mend="set watch.samples_every_steps: null",
        )
    watcher = Watcher(config, paths.watched(name), preview_of(network, noise_schedule, solver, runtime), runtime)
    try:
        yield watcher
    finally:
        watcher.finish()


def preview_of(
    network: ModelMixin, noise_schedule: NoiseSchedule | None, solver: SolverConfig, runtime: Runtime
) -> Preview:
    """Draws with ``network``, as wrapped for training, from the same noises and classes of its own every time.

    Args:
        network: What is trained; says its samples' shape, distribution of noise and number of classes.
        noise_schedule: Of a diffusion model; None for a flow.
        solver: What its ODE is solved with.
        runtime: What it runs on.
    """
    key, indices = stream_key("training", 0), range(PREVIEW_IMAGES)
    shape, noise, classes = sample_shape(network), noise_of(network), num_classes(network)

    def preview(wrapped: torch.nn.Module) -> torch.Tensor:
        sampler = Sampler(shape, "in training", noise_schedule, wrapped, runtime, noise, classes)
        x_0, labels = sampler.draw(key, indices)
        return sampler.sample(x_0, solver, labels).x

    return preview


def write_training(name: str, result: TrainingResult | None) -> None:
    """Writes what a training leaves to read: its curve, and what it cost; both empty for None, a model brought along.

    The curve is CSV with a column per field of :class:`pipeline.meter.Row`, losses by t spread out.
    """
    history = [] if result is None else result.history
    by_time = [f"loss_t{bucket / TIME_BUCKETS:.1f}" for bucket in range(TIME_BUCKETS)]
    with atomic_file(paths.losses(name)) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "loss", "learning_rate", "gradient_norm", "heldout_loss", *by_time))
        for row in history:
            writer.writerow(
                (row.step, row.loss, row.learning_rate, row.gradient_norm, row.heldout_loss, *row.loss_by_time)
            )
    cost = {
        "images_per_second": result.num_images / result.seconds if result and result.num_images else None,
        "seconds": result.seconds if result else None,
        "ema_halflife_images": result.halflife_images if result else None,
        "heldout_loss_by_halflife": result.heldout_loss_by_halflife if result else {},
    }
    write_json(paths.training_cost(name), cost)
