"""Prepared real images or points, memory-mapped; :mod:`pipeline.data.images` writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from pipeline.data.pixels import to_float
from pipeline.system.errors import StraightflowError

Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class ImageSet:
    """One split, memory-mapped.

    Attributes:
        images: uint8, (num, channels, height, width); of points float32, (num, dim).
        labels: int64, (num,), or None.
        fingerprint: Of both splits together.
    """

    images: np.ndarray
    labels: np.ndarray | None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width), or (dim,)."""
        return tuple(self.images.shape[1:])

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """``x_1`` of these images, float32 in [-1, 1]; points as they are."""
        chosen = torch.from_numpy(self.images[indices])
        return {"x_1": to_float(chosen) if chosen.dtype == torch.uint8 else chosen}

    def locate(self, index: int) -> str:
        """Row of an image, for messages."""
        return f"image {index}"


def open_images(folder: Path, split: Split) -> ImageSet:
    """Opens a split written by :func:`pipeline.data.images.prepare_images`."""
    try:
        info = json.loads((folder / "info.json").read_text())
        images = np.load(folder / f"{split}_images.npy", mmap_mode="r", allow_pickle=False)
        label_path = folder / f"{split}_labels.npy"
        labels = np.load(label_path, allow_pickle=False) if label_path.is_file() else None
    except (OSError, ValueError) as error:
        raise StraightflowError(
            expected=f"prepared images in {folder}", found=str(error), mend="run `dvc repro data`"
        ) from error
    return ImageSet(images, labels, info["fingerprint"])
