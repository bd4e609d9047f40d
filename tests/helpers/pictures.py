"""Small pictures that can be told apart: picture i is uniform grey of value i."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.data import DataConfig
from pipeline.data.images import prepare_images
from pipeline.data.sample_set import open_samples


def png(number: int) -> bytes:
    """An 8×8 PNG of value ``number``."""
    stream = io.BytesIO()
    Image.new("L", (8, 8), number).save(stream, "png")
    return stream.getvalue()


def save_pictures(folder: Path, names: Iterable[str]) -> None:
    """Saves one picture per name, numbered from 0; names end in ``.png``, in either case."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))


def folder_of(location: Path, **changes: object) -> DataConfig:
    """Configuration of grey 8×8 images in a folder, half of them held out."""
    default = {
        "source": "folder", "location": str(location), "heldout_share": 0.5, "resolution": 8, "channels": 1, "seed": 0,
    }  # fmt: skip
    return DataConfig.model_validate(default | changes)


def prepared(config: DataConfig, folder: Path) -> dict[int, int | None]:
    """Prepares the images and reads both splits back: the label of each picture, by its number."""
    prepare_images(config, folder)
    found: dict[int, int | None] = {}
    for split in ("train", "heldout"):
        opened = open_samples(folder, split)
        labels = [None] * len(opened) if opened.labels is None else opened.labels.tolist()
        numbers = opened.samples[:, 0, 0, 0].tolist()
        assert not found.keys() & set(numbers)
        assert np.ptp(opened.samples, axis=(1, 2, 3)).max() == 0
        found |= dict(zip(numbers, labels, strict=True))
    return found
