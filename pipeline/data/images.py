"""Decodes real images one by one into 8-bit files with a fixed train/held-out split."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pipeline.config.data import DataConfig
from pipeline.data.image_source import FoundImages, find_images
from pipeline.data.info import write_info
from pipeline.data.sample_set import is_sample_set
from pipeline.system.atomic import atomic_folder
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress


def prepare_images(config: DataConfig, folder: Path, revision: str | None = None) -> None:
    """Reads the configured images, splits them and writes them to ``folder``, atomically, holding one at a time.

    ``info.json`` lists the names of classes, in the order of their labels, where the source gives names.

    Args:
        config: Where they come from.
        folder: Where they go.
        revision: Commit of a data set on the hub; None for other sources.

    Raises:
        StraightflowError: If the source is missing or unreadable, a column or split does not exist, or an image
            has another size or more channels than configured.
    """
    source = find_images(config, revision)
    digest = hashlib.sha256()
    with atomic_folder(folder, ours=is_sample_set) as temporary:
        for name, images in (("train", source.train), ("heldout", source.heldout)):
            _write_images(temporary / f"{name}_images.npy", images, config, f"reading {name} images", digest)
            if images.labels is not None:
                digest.update(images.labels.tobytes())
                np.save(temporary / f"{name}_labels.npy", images.labels)
        info: dict[str, object] = {
            "source": config.source,
            "location": None if config.location is None else _as_text(config.location),
            "resolution": config.resolution,
            "channels": config.channels,
            "num_train": len(source.train),
            "num_heldout": len(source.heldout),
            "fingerprint": digest.hexdigest(),
        }
        if source.class_names is not None:
            info["class_names"] = [_as_text(name) for name in source.class_names]
        write_info(temporary, info)


def _as_text(name: str) -> str:
    """A name with the bytes that are no text as escapes: readers of JSON refuse them."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _write_images(path: Path, images: FoundImages, config: DataConfig, task: str, digest: hashlib._Hash) -> None:
    """Writes all images one by one, as ``np.save`` would at once: (num, channels, height, width)."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), *config.image_shape)}
    num_read = 0
    with path.open("wb") as stream, Progress(task, len(images), "images") as progress:
        np.lib.format.write_array_header_1_0(stream, header)
        for image in images.decode():
            content = image.tobytes()
            stream.write(content)
            digest.update(content)
            num_read += 1
            progress.advance()
    if num_read != len(images):
        raise StraightflowError(
            expected=f"{len(images)} images, as were found",
            found=f"{num_read} read",
            mend="see that nothing else changes them, and run again",
        )
