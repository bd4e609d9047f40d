"""The store of couplings: seed-addressed noise, images in hashed shards, one manifest.

A pair is (index, image). Noise is never stored: pair i's x_0 is :func:`pipeline.noise.sample_noise` of the
store's seed and i. A shard is one safetensors file with the tensor ``images``; the manifest names every shard
with its hash, and carries a noise check value, so that a changed generator is caught before training.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import StraightflowError
from pipeline.fingerprint import fingerprint_file
from pipeline.noise import noise_check, sample_noise, stream_key
from pipeline.pixels import to_float

FORMAT = "straightflow-couplings"
VERSION = 1
MANIFEST = "manifest.json"
_SHARD_NAME = re.compile(r"^shard-\d{6}\.safetensors$")
_NUMPY_TYPES = {"uint8": np.uint8, "float16": np.float16, "float32": np.float32}
_SAFETENSORS_TYPES = {"uint8": "U8", "float16": "F16", "float32": "F32"}


class ShardRecord(BaseModel):
    """One shard: file name, pairs in it, SHA-256 of the file, entries outside [-1, 1] before storing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    num_pairs: int
    sha256: str
    clipped_fraction: float


class Manifest(BaseModel):
    """What a store holds and how it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["straightflow-couplings"]
    version: Literal[1]
    num_pairs: int
    shard_pairs: int
    shape: tuple[int, int, int]
    dtype: Literal["uint8", "float16", "float32"]
    seed: int
    noise_check: str
    source: str
    source_fingerprint: str
    solver: dict[str, Any]
    nfe_mean: float
    batch_size: int
    precision: str
    shards: tuple[ShardRecord, ...]


def shard_name(index: int) -> str:
    """File name of the index-th shard."""
    return f"shard-{index:06d}.safetensors"


class CouplingStore:
    """A finished store, memory-mapped.

    Args:
        folder: The store.
        verify: Whether to hash every shard.

    Raises:
        StraightflowError: If anything in the store is missing, damaged or made with another generator.
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder = folder
        self.manifest = _read_manifest(folder)
        self._key = stream_key("couplings", self.manifest.seed)
        _check_shards(folder, self.manifest, verify=verify)
        found = noise_check(self._key, self.manifest.shape)
        if found != self.manifest.noise_check:
            raise _damaged(
                folder,
                f"noise check {self.manifest.noise_check[:12]}",
                f"{found[:12]}: this machine's generator draws other noise than the one that made the images",
            )
        self._images = [_map_shard(folder / shard.file, self.manifest, shard) for shard in self.manifest.shards]

    def __len__(self) -> int:
        return self.manifest.num_pairs

    def images(self, indices: np.ndarray) -> torch.Tensor:
        """Stored images of these pairs, in their stored type, (len(indices), C, H, W)."""
        result = np.empty((len(indices), *self.manifest.shape), dtype=_NUMPY_TYPES[self.manifest.dtype])
        shards, rows = np.divmod(indices, self.manifest.shard_pairs)
        for shard in np.unique(shards):
            chosen = shards == shard
            result[chosen] = self._images[int(shard)][rows[chosen]]
        return torch.from_numpy(result)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Pairs as float32 ``x_0`` and ``x_1``, each (len(indices), C, H, W)."""
        images = self.images(indices)
        x_1 = to_float(images) if images.dtype == torch.uint8 else images.float()
        return {"x_0": sample_noise(self._key, indices.tolist(), self.manifest.shape), "x_1": x_1}

    def locate(self, index: int) -> str:
        """Shard file and row of a pair, for messages."""
        shard, row = divmod(index, self.manifest.shard_pairs)
        return f"{self.manifest.shards[shard].file} row {row}"


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return Manifest.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise _damaged(folder, f"a manifest at {path}", str(error)) from error
    except (ValidationError, ValueError) as error:
        raise _damaged(
            folder, f"a {FORMAT} manifest of version {VERSION} in {path}", " ".join(str(error).split())
        ) from error


def _check_shards(folder: Path, manifest: Manifest, *, verify: bool) -> None:
    for shard in manifest.shards:
        if not _SHARD_NAME.match(shard.file):
            raise _damaged(folder, "shard file names like shard-000000.safetensors", repr(shard.file))
    names = [shard.file for shard in manifest.shards]
    if names != [shard_name(index) for index in range(len(names))]:
        raise _damaged(folder, "shards numbered from 0 without gaps", ", ".join(names))
    pairs = sum(shard.num_pairs for shard in manifest.shards)
    if pairs != manifest.num_pairs:
        raise _damaged(folder, f"{manifest.num_pairs} pairs in all shards", str(pairs))
    extra = sorted({item.name for item in folder.iterdir()} - {MANIFEST, *names})
    if extra:
        raise _damaged(folder, "only the manifest and its shards", ", ".join(extra))
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file():
            raise _damaged(folder, f"shard {shard.file}", "no such file")
        if verify and fingerprint_file(path) != shard.sha256:
            raise _damaged(folder, f"shard {shard.file} with SHA-256 {shard.sha256[:12]}…", "other content")


def _map_shard(path: Path, manifest: Manifest, shard: ShardRecord) -> np.ndarray:
    """Memory-maps the one tensor of a shard through the safetensors header."""
    shape = (shard.num_pairs, *manifest.shape)
    with path.open("rb") as stream:
        (header_bytes,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(header_bytes))
    entry = header["images"]
    if tuple(entry["shape"]) != shape or entry["dtype"] != _SAFETENSORS_TYPES[manifest.dtype]:
        raise _damaged(
            path.parent, f"images {shape} of {manifest.dtype} in {path.name}", f"{entry['shape']} {entry['dtype']}"
        )
    offset = 8 + header_bytes + entry["data_offsets"][0]
    return np.memmap(path, dtype=_NUMPY_TYPES[manifest.dtype], mode="r", offset=offset, shape=shape)


def _damaged(folder: Path, expected: str, found: str) -> StraightflowError:
    return StraightflowError(
        expected=expected, found=found, mend=f"delete {folder} and make the couplings again with `dvc repro`"
    )
