"""One file of pairs: hashed as it is written, read through a memory map."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from pipeline.couplings.manifest import Manifest, ShardRecord, damaged
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import one_line
from pipeline.system.safetensors_header import read_header

IMAGES, NOISE, LABELS, STATES = "images", "noise", "labels", "states"
NOISE_TYPE = "float16"
STATES_TYPE = "float16"
LABEL_TYPE = "int32"
_SAFETENSORS_TYPES = {"uint8": "U8", "float16": "F16", "float32": "F32", "int32": "I32"}


def write_shard(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    """Writes a shard atomically.

    Args:
        path: Its file.
        tensors: ``images``; ``noise`` (float16) for pairs made from images; ``labels`` (int32) and ``states`` (float16,
            (pairs, states, …)) where there are any.

    Returns:
        SHA-256 of the file.
    """
    content = save(tensors)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def map_shard(folder: Path, manifest: Manifest, shard: ShardRecord) -> dict[str, np.ndarray]:
    """Memory-maps every tensor of a shard.

    Raises:
        StraightflowError: If the file has other tensors, types or shapes than the manifest says.
    """
    images = (shard.num_pairs, *manifest.shape)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {IMAGES: (manifest.dtype, images)}
    if shard.is_from_images:
        expected[NOISE] = (NOISE_TYPE, images)
    if manifest.num_classes is not None:
        expected[LABELS] = (LABEL_TYPE, (shard.num_pairs,))
    if manifest.state_times is not None:
        expected[STATES] = (STATES_TYPE, (shard.num_pairs, len(manifest.state_times), *manifest.shape))
    path = folder / shard.file
    try:
        entries, start = read_header(path)
    except ValueError as error:
        raise damaged(folder, f"a safetensors header in {shard.file}", one_line(error)) from error
    found = {name: (entry.dtype, entry.shape) for name, entry in entries.items()}
    if found != {name: (_SAFETENSORS_TYPES[dtype], shape) for name, (dtype, shape) in expected.items()}:
        raise damaged(folder, f"{expected} in {shard.file}", str(found))
    result: dict[str, np.ndarray] = {}
    for name, (dtype, shape) in expected.items():
        begin, end = entries[name].data_offsets
        if end - begin != math.prod(shape) * np.dtype(dtype).itemsize or start + end > path.stat().st_size:
            raise damaged(folder, f"{name} of {shape} {dtype} in {shard.file}", f"{path.stat().st_size} bytes")
        result[name] = np.memmap(path, dtype=dtype, mode="r", offset=start + begin, shape=shape)
    return result
