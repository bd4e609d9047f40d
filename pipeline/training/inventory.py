"""Lists unfinished trainings: checkpoints that a call with the same inputs will continue from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.training.checkpoint import saved_steps

PREFIX = "train-"
_NAME = re.compile(rf"^{PREFIX}(?P<model>.+)-[0-9a-f]{{16}}$")


@dataclass(frozen=True)
class UnfinishedTraining:
    """Checkpoints of a run that has not ended.

    Attributes:
        folder: Its folder.
        model: The model that it trains.
        steps: Steps of its checkpoints, rising, including damaged ones.
        num_bytes: Size of all its files.
    """

    folder: Path
    model: str
    steps: tuple[int, ...]
    num_bytes: int

    def describe(self) -> str:
        """What it holds, in one line."""
        saved = f"step {self.steps[-1]:,} saved, {len(self.steps)} checkpoints" if self.steps else "no checkpoint"
        return f"{self.folder}: training of {self.model}, {saved}, {self.num_bytes / 1e6:,.1f} MB"


def run_name(model: str, inputs: str) -> str:
    """Name of the folder of a training's checkpoints.

    Args:
        model: What it trains.
        inputs: Fingerprint of everything its result depends on.
    """
    return f"{PREFIX}{model}-{inputs[:16]}"


def unfinished_trainings(runs_folder: Path) -> list[UnfinishedTraining]:
    """Every unfinished training in ``runs_folder``, by name."""
    found = []
    for folder in sorted(runs_folder.glob(f"{PREFIX}*")):
        name = _NAME.match(folder.name)
        if name is not None and folder.is_dir():
            size = sum(item.stat().st_size for item in folder.rglob("*") if item.is_file())
            found.append(UnfinishedTraining(folder, name["model"], tuple(saved_steps(folder)), size))
    return found
