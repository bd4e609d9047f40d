"""What the three training stages share: run folder and training curve."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pipeline.atomic import atomic_file
from pipeline.fingerprint import fingerprint_json
from stages import paths


def run_folder(name: str, inputs: list[Any]) -> Path:
    """Folder of a run's checkpoints, particular to everything its result depends on."""
    return paths.RUNS / f"train-{name}-{fingerprint_json(inputs)[:16]}"


def write_history(name: str, history: list[tuple[int, float, float]]) -> None:
    """Writes the training curve as CSV: step, loss, learning_rate."""
    with atomic_file(paths.losses(name)) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "loss", "learning_rate"))
        writer.writerows(history)
