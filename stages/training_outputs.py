"""What the three training stages share: run folder and training curve."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pipeline.atomic import atomic_file
from pipeline.fingerprint import fingerprint_json
from pipeline.meter import TIME_BUCKETS, Row
from stages import paths


def run_folder(name: str, inputs: list[Any]) -> Path:
    """Folder of a run's checkpoints, particular to everything its result depends on."""
    return paths.RUNS / f"train-{name}-{fingerprint_json(inputs)[:16]}"


def write_history(name: str, history: list[Row]) -> None:
    """Writes the training curve as CSV: a column per field of :class:`pipeline.meter.Row`, losses by t spread out."""
    by_time = [f"loss_t{bucket / TIME_BUCKETS:.1f}" for bucket in range(TIME_BUCKETS)]
    with atomic_file(paths.losses(name)) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "loss", "learning_rate", "gradient_norm", "heldout_loss", *by_time))
        for row in history:
            writer.writerow(
                (row.step, row.loss, row.learning_rate, row.gradient_norm, row.heldout_loss, *row.loss_by_time)
            )
