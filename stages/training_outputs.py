"""What the training stages share: run folder, held-out data and training curve."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pipeline.data.sample_set import open_samples
from pipeline.system.atomic import atomic_file, write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json
from pipeline.training.heldout import heldout_split
from pipeline.training.loop import TrainingResult
from pipeline.training.meter import TIME_BUCKETS
from pipeline.training.samples import Subset
from stages import paths

HELDOUT_DATA_SEED = 0


def run_folder(name: str, inputs: list[Any]) -> Path:
    """Folder of a run's checkpoints, particular to everything its result depends on."""
    return paths.RUNS / f"train-{name}-{fingerprint_json(inputs)[:16]}"


def heldout_data(wanted: int, key: str) -> Subset | None:
    """A spread of ``wanted`` held-out images or points, None for 0; ``key`` names the training's settings in errors."""
    if not wanted:
        return None
    data = open_samples(paths.IMAGES, "heldout")
    if len(data) < wanted:
        raise StraightflowError(
            expected=f"{wanted} held-out samples, as {key}.heldout_items says",
            found=str(len(data)),
            mend="lower it, or raise data.heldout_share",
        )
    return Subset(data, heldout_split(len(data), wanted, HELDOUT_DATA_SEED)[1])


def write_training(name: str, result: TrainingResult | None) -> None:
    """Writes what a training leaves to read: its curve, and what it cost; both empty for None, a model brought along.

    The curve is CSV with a column per field of :class:`pipeline.training.meter.Row`, losses by t spread out.
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
