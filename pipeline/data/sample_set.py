"""A prepared split of real images, of their latents or of points, memory-mapped.

:mod:`pipeline.data.prepare` and :mod:`pipeline.data.latents` write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Literal

import numpy as np
import torch

from pipeline.data.info import INFO, DataInfo
from pipeline.data.pixels import from_stored
from pipeline.data.space import LATENTS, Space, space_of_shape
from pipeline.system.errors import StraightflowError
from pipeline.system.replacing import holding_only
from pipeline.system.typed_content import read_typed
from pipeline.system.whole_files import require_file

LATENT_DTYPE = "float16"
"""Stored type of latents."""

is_sample_set = holding_only(INFO, "*_images.npy", "*_labels.npy", "vae/*")
"""Whether a folder holds a prepared data set and nothing else."""

Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class SampleSet:
    """One split, memory-mapped.

    Attributes:
        samples: As stored: images uint8 and latents float16, (num, channels, height, width); points float32,
            (num, dim).
        labels: int64, (num,), or None.
        fingerprint: Of both splits together.
        are_latents: Whether the samples are latents.
    """

    samples: np.ndarray
    labels: np.ndarray | None
    fingerprint: str
    are_latents: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (channels, height, width), or (dim,)."""
        return tuple(self.samples.shape[1:])

    @property
    def space(self) -> Space:
        """What a sample is."""
        return LATENTS if self.are_latents else space_of_shape(self.shape)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """``x_1`` of these samples, float32, (len(indices), …); images in [-1, 1]."""
        return {"x_1": from_stored(torch.from_numpy(self.samples[indices]))}

    def locate(self, index: int) -> str:
        """Row of a sample, for messages."""
        return f"{self.space.noun} {index}"


def open_samples(folder: Path, split: Split) -> SampleSet:
    """Opens a split written by :func:`pipeline.data.prepare.prepare_data`.

    Raises:
        StraightflowError: If it is missing, cannot be read, or is none that was prepared.
    """
    try:
        info = read_typed(folder / INFO, DataInfo)
        are_latents = info.latent_shape is not None
        samples = _load(folder / f"{split}_images.npy", mmap_mode="r")
        label_path = folder / f"{split}_labels.npy"
        labels = _load(label_path) if label_path.is_file() else None
        stored = LATENT_DTYPE if are_latents else "uint8" if samples.ndim == 4 else "float32"
        _require_samples(samples, info.num_train if split == "train" else info.num_heldout, info.sample_shape, stored)
        if labels is not None:
            _require_labels(labels, len(samples))
    except (OSError, ValueError) as error:
        raise StraightflowError(
            expected=f"prepared data in {folder}", found=str(error), mend="run `dvc repro --force data`"
        ) from error
    return SampleSet(samples, labels, info.fingerprint, are_latents)


def _load(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    """An array of numbers; OSError or ValueError where there is none."""
    require_file(path)
    try:
        values: object = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (EOFError, SyntaxError, TokenError) as error:  # of headers that are cut off or damaged
        raise ValueError(f"no header of an array in {path}") from error
    if not isinstance(values, np.ndarray):
        raise ValueError(f"several arrays in {path}")
    return values


def _require_samples(samples: np.ndarray, promised: int | None, shape: tuple[int, ...] | None, stored: str) -> None:
    """ValueError unless these are samples stored as ``stored``, of ``shape`` and as many as were prepared."""
    if samples.ndim not in (2, 4) or samples.dtype != np.dtype(stored) or 0 in samples.shape:
        raise ValueError(
            f"an array of {samples.dtype} of shape {samples.shape}, which are no images, latents or points"
        )
    if promised not in (None, len(samples)):
        raise ValueError(f"{len(samples)} samples, where info.json says {promised}")
    if shape not in (None, samples.shape[1:]):
        raise ValueError(f"samples of shape {samples.shape[1:]}, where info.json says {shape}")


def _require_labels(labels: np.ndarray, num_samples: int) -> None:
    """ValueError unless these are classes of as many samples."""
    if labels.shape != (num_samples,) or labels.dtype != np.int64 or labels.min() < 0:
        raise ValueError(f"labels of {labels.dtype} of shape {labels.shape}, which are no classes of the samples")
