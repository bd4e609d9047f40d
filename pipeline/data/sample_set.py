"""A prepared split of real images or of points, memory-mapped; :mod:`pipeline.data.prepare` writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from pipeline.data.pixels import from_stored
from pipeline.data.space import Space, space_of_shape
from pipeline.system.errors import StraightflowError
from pipeline.system.replacing import holding_only

is_sample_set = holding_only("info.json", "*_images.npy", "*_labels.npy")
"""Whether a folder holds a prepared data set and nothing else."""

Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class SampleSet:
    """One split, memory-mapped.

    Attributes:
        samples: As stored: images uint8, (num, channels, height, width); points float32, (num, dim).
        labels: int64, (num,), or None.
        fingerprint: Of both splits together.
    """

    samples: np.ndarray
    labels: np.ndarray | None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (channels, height, width), or (dim,)."""
        return tuple(self.samples.shape[1:])

    @property
    def space(self) -> Space:
        """What a sample is."""
        return space_of_shape(self.shape)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """``x_1`` of these samples, float32, (len(indices), …); images in [-1, 1]."""
        return {"x_1": from_stored(torch.from_numpy(self.samples[indices]))}

    def locate(self, index: int) -> str:
        """Row of a sample, for messages."""
        return f"{self.space.noun} {index}"


def open_samples(folder: Path, split: Split) -> SampleSet:
    """Opens a split written by :func:`pipeline.data.prepare.prepare_data`.

    Raises:
        StraightflowError: If it is missing or cannot be read.
    """
    try:
        info = json.loads((folder / "info.json").read_text("utf-8"))
        samples = np.load(folder / f"{split}_images.npy", mmap_mode="r", allow_pickle=False)
        label_path = folder / f"{split}_labels.npy"
        labels = np.load(label_path, allow_pickle=False) if label_path.is_file() else None
    except (OSError, ValueError) as error:
        raise StraightflowError(
            expected=f"prepared data in {folder}", found=str(error), mend="run `dvc repro data`"
        ) from error
    return SampleSet(samples, labels, info["fingerprint"])
