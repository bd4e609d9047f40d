"""Watching a training run: numbers and quick FIDs into TensorBoard and DVCLive, images drawn during training."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.tracking import DVCLiveTracker, GeneralTracker, TensorBoardTracker
from PIL import Image

from pipeline.config.watch import WatchConfig, require_tracker
from pipeline.data.mosaic import mosaic
from pipeline.data.pixels import to_uint8
from pipeline.models.runtime import Runtime
from pipeline.system.atomic import atomic_file, write_json
from pipeline.training.measured_fid import QUICK_FID, MeasuredFid
from pipeline.training.meter import TIME_BUCKETS, LossRecord

Preview = Callable[[torch.nn.Module], torch.Tensor]
"""Images (num, channels, height, width) in [-1, 1] drawn with a network, from the same noises every time."""


@dataclass(frozen=True)
class QuickFid:
    """A measure of a network in training.

    Attributes:
        name: What trackers call it.
        measure: FID of images drawn with a network, from the same noises every time; every process must call it.
    """

    name: str
    measure: Callable[[torch.nn.Module], float]


class Watcher:
    """Receives what one run records.

    Args:
        config: What to keep.
        folder: Where; numbers in ``tensorboard/`` and ``dvclive/``, images in ``samples/``, the newest quick FID in
            ``quick_fid.json``.
        preview: Draws the images.
        quick_fid: Measures FID, needed if the configuration asks for it.
        runtime: Only its main process writes.

    Raises:
        StraightflowError: If a tracker's package is not installed.
    """

    def __init__(
        self,
        config: WatchConfig,
        folder: Path,
        preview: Preview,
        runtime: Runtime,
        quick_fid: QuickFid | None = None,
    ) -> None:
        self._config, self._folder, self._runtime = config, folder, runtime
        self._preview, self._quick_fid = preview, quick_fid
        self._trackers = [_open_tracker(name, folder / name) for name in config.trackers] if runtime.is_main else []
        self._last: tuple[int, float] | None = None

    def record(self, row: LossRecord, batch_size: int) -> None:
        """Logs a row with the memory used and, from the second one on, the images per second since the one before."""
        now = time.monotonic()
        values = tracked_values(row) | {"memory_mb": _memory_mb(self._runtime.device)}
        if self._last is not None:
            step, since = self._last
            values["images_per_second"] = (row.step - step) * batch_size / max(now - since, 1e-9)
        self._last = row.step, now
        for tracker in self._trackers:
            tracker.log(values, step=row.step)

    def looks_at(self, step: int) -> bool:
        """Whether :meth:`look` has something to do after this step."""
        return is_due(step, self._config.samples_every_steps) or is_due(step, self._config.fid_every_steps)

    def look(self, network: torch.nn.Module, step: int) -> str | None:
        """Draws images with ``network`` and measures FID, if due; every process must call it.

        Args:
            network: The averaged weights, as wrapped for training; left in training mode.
            step: Steps done.

        Returns:
            A note for the progress line; None if there is nothing to say.
        """
        note, began = None, time.monotonic()
        network.eval()
        with torch.no_grad():
            if is_due(step, self._config.samples_every_steps):
                self._draw(network, step)
            if self._quick_fid is not None and is_due(step, self._config.fid_every_steps):
                fid = self._quick_fid.measure(network)
                for tracker in self._trackers:
                    tracker.log({self._quick_fid.name: fid}, step=step)
                if self._runtime.is_main and math.isfinite(fid):
                    write_json(self._folder / QUICK_FID, asdict(MeasuredFid(self._quick_fid.name, step, fid)))
                note = f"FID {fid:.4g}"
        network.train()
        if self._last is not None:  # looking does not count as training time
            self._last = self._last[0], self._last[1] + time.monotonic() - began
        return note

    def _draw(self, network: torch.nn.Module, step: int) -> None:
        images = to_uint8(self._preview(network)).cpu().numpy()
        if self._runtime.is_main:
            grid = Image.fromarray(mosaic(images, round(len(images) ** 0.5), gap=2))
            with atomic_file(self._folder / "samples" / f"step-{step:09d}.png") as temporary:
                grid.save(temporary, format="png")

    def finish(self) -> None:
        """Closes the trackers."""
        for tracker in self._trackers:
            tracker.finish()


def is_due(step: int, every_steps: int | None) -> bool:
    """Whether something done every ``every_steps`` steps is done after ``step``, counted from 1; never for None."""
    return every_steps is not None and step % every_steps == 0


def tracked_values(row: LossRecord) -> dict[str, float]:
    """A row as named numbers; what was not measured is left out."""
    values: dict[str, float | None] = {
        "loss": row.loss,
        "learning_rate": row.learning_rate,
        "gradient_norm": row.gradient_norm,
        "heldout_loss": row.heldout_loss,
    }
    values |= {f"loss_by_time/{bucket / TIME_BUCKETS:.1f}": loss for bucket, loss in enumerate(row.loss_by_time)}
    return {name: value for name, value in values.items() if value is not None}


def _open_tracker(name: str, folder: Path) -> GeneralTracker:
    require_tracker(name)
    folder.mkdir(parents=True, exist_ok=True)
    if name == "tensorboard":
        return _started(TensorBoardTracker(run_name="", logging_dir=folder))
    from dvclive.live import Live

    live = Live(dir=str(folder), dvcyaml=str(folder / "dvc.yaml"), resume=True, report=None, save_dvc_exp=False)
    return _started(DVCLiveTracker(run_name=None, live=live))


def _started(tracker: Any) -> GeneralTracker:
    tracker.start()
    return tracker


def _memory_mb(device: torch.device) -> float:
    """Largest memory in use so far: allocated on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
