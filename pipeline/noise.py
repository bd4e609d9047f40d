"""Noise addressed by (seed, index): sample i's x_0 never depends on batch, process or restart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch

from pipeline.config import STANDARD_NOISE, NoiseConfig

Purpose = Literal["couplings", "inversion", "evaluation", "classifier", "training", "heldout"]


def stream_key(purpose: Purpose, seed: int) -> int:
    """A 64-bit key that separates the uses of one seed.

    Couplings and evaluation drawn with the same seed number must not share noise: a student would be
    measured on the very inputs it was trained on.
    """
    digest = hashlib.sha256(f"straightflow/{purpose}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def sample_noise(
    key: int, indices: Iterable[int], shape: tuple[int, ...], distribution: NoiseConfig = STANDARD_NOISE
) -> torch.Tensor:
    """Normal noise, one independent stream per index.

    Sample i comes from a Philox generator with the 128-bit key (key, i) (Salmon et al. 2011), so no two
    (key, i) share a stream.

    Args:
        key: From :func:`stream_key`.
        indices: Sample indices, each in [0, 2^64).
        shape: Shape of one sample.
        distribution: Its mean and standard deviation.

    Returns:
        Float32 tensor of shape (len(indices), *shape).
    """
    indices = list(indices)
    noise = np.empty((len(indices), *shape), dtype=np.float32)
    # One generator set to the start of each stream: building one per index would first seed it from the system.
    bits = np.random.Philox(key=np.array([key, 0], dtype=np.uint64))
    generator = np.random.Generator(bits)
    stream_start = bits.state
    for row, index in enumerate(indices):
        stream_start["state"]["key"][1] = index
        bits.state = stream_start
        generator.standard_normal(dtype=np.float32, out=noise[row])
    return place_noise(torch.from_numpy(noise), distribution)


def place_noise(standard: torch.Tensor, distribution: NoiseConfig) -> torch.Tensor:
    """x_0 = mean + std z of standard normal ``standard``, (batch, …); the very tensor where that changes nothing."""
    if distribution == STANDARD_NOISE:
        return standard
    mean = standard.new_tensor(distribution.mean or (0.0,))
    return mean + distribution.std * standard


def sample_labels(key: int, indices: Iterable[int], num_classes: int) -> torch.Tensor:
    """Uniform classes addressed like noise, from streams of their own.

    Args:
        key: From :func:`stream_key`, that of the noise they go with.
        indices: Sample indices, each in [0, 2^64).
        num_classes: Classes; labels lie in [0, num_classes).

    Returns:
        Int64 tensor of shape (len(indices),).
    """
    digest = hashlib.sha256(f"straightflow/labels/{key}".encode()).digest()
    label_key = int.from_bytes(digest[:8], "little")
    labels = [
        np.random.Generator(np.random.Philox(key=np.array([label_key, index], dtype=np.uint64))).integers(num_classes)
        for index in indices
    ]
    return torch.tensor(labels, dtype=torch.int64)


def noise_check(key: int, shape: tuple[int, ...]) -> str:
    """SHA-256 of standard normal noise at four indices; differs when any generator underneath has changed."""
    noise = sample_noise(key, (0, 1, 12_345, 2**40 + 7), shape)
    return hashlib.sha256(noise.numpy().tobytes()).hexdigest()


def step_generator(seed: int, step: int) -> torch.Generator:
    """The CPU generator of one training step, a function of (seed, step) alone.

    torch seeds its Mersenne twister from 32 bits, so the pair is hashed down to them; a collision would
    only repeat one step's random numbers on other images.
    """
    digest = hashlib.sha256(f"straightflow/step/{seed}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))
