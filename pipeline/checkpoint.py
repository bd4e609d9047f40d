"""Training checkpoints: whole or absent, checked by hash, the newest good one wins."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from pipeline.atomic import publish_folder, write_json
from pipeline.fingerprint import fingerprint_folder

KEPT = 2
_NAME = re.compile(r"^step-(\d{9})$")


@dataclass
class TrainingState:
    """The part of a checkpoint that is not weights: the step reached and the losses recorded.

    Attributes:
        step: Finished optimizer steps.
        history: Rows (step, loss, learning rate).
    """

    step: int
    history: list[tuple[int, float, float]]

    def state_dict(self) -> dict[str, object]:
        """Plain containers, for a checkpoint."""
        return {"step": self.step, "history": [list(row) for row in self.history]}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restores what :meth:`state_dict` returned."""
        restored = json.loads(json.dumps(state))
        self.step = int(restored["step"])
        self.history = [(int(step), float(loss), float(rate)) for step, loss, rate in restored["history"]]


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Saves everything registered with ``accelerator`` as ``folder/step-…`` and drops all but the newest."""
    final = folder / f"step-{step:09d}"
    temporary = folder / f".{final.name}.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(temporary))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        digest = fingerprint_folder(temporary)
        publish_folder(temporary, final)
        write_json(folder / f"{final.name}.json", {"sha256": digest})
        for old in _checkpoints(folder)[KEPT:]:
            (folder / f"{old.name}.json").unlink(missing_ok=True)
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def load_newest_checkpoint(accelerator: Accelerator, folder: Path) -> bool:
    """Restores the newest checkpoint whose hash matches; reports each torn one it passes over.

    Returns:
        Whether one was restored.
    """
    for candidate in _checkpoints(folder):
        if _is_whole(candidate):
            accelerator.load_state(str(candidate))
            return True
        accelerator.print(f"checkpoint {candidate} is damaged; trying the one before it")
    return False


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    if not folder.is_dir():
        return []
    return sorted((item for item in folder.iterdir() if _NAME.match(item.name)), reverse=True)


def _is_whole(checkpoint: Path) -> bool:
    record = checkpoint.with_name(f"{checkpoint.name}.json")
    if not record.is_file():
        return False
    expected = json.loads(record.read_text())["sha256"]
    return bool(fingerprint_folder(checkpoint) == expected)
