"""The data set as latents: every image encoded once, for models that are trained on latents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.data.info import INFO, write_info
from pipeline.data.sample_set import LATENT_DTYPE, SampleSet, Split, is_sample_set, open_samples
from pipeline.system.atomic import atomic_folder
from pipeline.system.blocks import batches_of
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder
from pipeline.system.progress import Progress
from pipeline.system.whole_files import read_json

Encode = Callable[[torch.Tensor], torch.Tensor]
"""Images in [-1, 1], (batch, channels, height, width), float32, to latents, (batch, …), float32."""


def prepare_latents(
    images: Path, folder: Path, encode: Encode, save_autoencoder: Callable[[Path], object], *, batch_size: int
) -> None:
    """Writes the latents of both splits to ``folder``, atomically; :func:`open_samples` opens them.

    They are stored in float16, whose rounding is at most 2^-11 of an entry; labels are copied, and the autoencoder is
    saved beside them, so that the set can be decoded.

    Args:
        images: The prepared images.
        folder: Where the latents go.
        encode: The autoencoder.
        save_autoencoder: Saves it in the folder that it is given.
        batch_size: Images per call.

    Raises:
        StraightflowError: If the images are not prepared, or a latent is not finite in float16.
    """
    digest = hashlib.sha256()
    splits: dict[Split, SampleSet] = {split: open_samples(images, split) for split in ("train", "heldout")}
    with atomic_folder(folder, ours=is_sample_set) as temporary:
        shape: tuple[int, ...] = ()
        for split, data in splits.items():
            shape = _write(temporary / f"{split}_images.npy", data, encode, split, batch_size, digest)
            if data.labels is not None:
                digest.update(data.labels.tobytes())
                np.save(temporary / f"{split}_labels.npy", data.labels)
        save_autoencoder(temporary)
        digest.update(fingerprint_folder(temporary / "vae").encode())
        of_images = read_json(images / INFO)
        assert isinstance(of_images, dict)  # it was read with the splits
        write_info(temporary, of_images | {"latent_shape": shape, "fingerprint": digest.hexdigest()})


def _write(
    path: Path, data: SampleSet, encode: Encode, split: str, batch_size: int, digest: hashlib._Hash
) -> tuple[int, ...]:
    """Encodes a split batch by batch into a file as ``np.save`` writes it; returns the shape of a latent."""
    latents: np.ndarray | None = None
    with Progress(f"encoding {split} images", len(data), "images") as progress:
        for rows in batches_of(range(len(data)), batch_size):
            found = encode(data.load(np.array(rows))["x_1"]).cpu().half().numpy()
            if not np.isfinite(found).all():
                raise StraightflowError(
                    expected=f"finite latents in {LATENT_DTYPE}",
                    found=f"NaN, infinity or more than 65,504 among images {rows[0]} to {rows[-1]} of {split}",
                    mend="check the autoencoder: latents should have about unit scale",
                )
            if latents is None:
                latents = np.lib.format.open_memmap(
                    path, mode="w+", dtype=LATENT_DTYPE, shape=(len(data), *found.shape[1:])
                )
            latents[rows.start : rows.stop] = found
            digest.update(found.tobytes())
            progress.advance(len(rows))
    assert latents is not None  # every split has samples
    return latents.shape[1:]
