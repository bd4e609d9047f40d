"""Noise addressed by (seed, index): sample i's x_0 never depends on batch, process or restart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig

Purpose = Literal["couplings", "inversion", "evaluation", "training", "heldout"]


def stream_key(purpose: Purpose, seed: int) -> int:
    """A 64-bit key that separates the uses of one seed.

    Couplings and evaluation drawn with the same seed number must not share noise: a student would be
    measured on the very inputs it was trained on.
    """
    return derived_key(f"{purpose}/{seed}", 64)


def derived_key(name: str, bits: int) -> int:
    """A key of so many bits that no other ``name`` shares but by collision: the start of its SHA-256."""
    digest = hashlib.sha256(f"straightflow/{name}".encode()).digest()
    return int.from_bytes(digest[: bits // 8], "little")


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
    for row, generator in enumerate(_streams(key, indices)):
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
    streams = _streams(derived_key(f"labels/{key}", 64), indices)
    return torch.tensor([generator.integers(num_classes) for generator in streams], dtype=torch.int64)


def noise_check(key: int, shape: tuple[int, ...]) -> str:
    """SHA-256 of standard normal noise at four indices; differs when any generator underneath has changed."""
    noise = sample_noise(key, (0, 1, 12_345, 2**40 + 7), shape)
    return hashlib.sha256(noise.numpy().tobytes()).hexdigest()


def step_generator(seed: int, step: int) -> torch.Generator:
    """The CPU generator of one training step, a function of (seed, step) alone.

    torch seeds its Mersenne twister from 32 bits, so the pair is hashed down to them; a collision would
    only repeat one step's random numbers on other images.
    """
    return torch.Generator().manual_seed(derived_key(f"step/{seed}/{step}", 32))


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Within it, what torch draws on the CPU, such as a new network's weights, is a function of ``seed``.

    Afterwards torch's generator is as before. Those of GPUs, other processes' too, are left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _streams(key: int, indices: Iterable[int]) -> Iterator[np.random.Generator]:
    """The generator of each index at the start of its stream; valid until the next one is asked for."""
    # One generator set to each start: building one per index would first seed it from the system.
    bits = np.random.Philox(key=np.array([key, 0], dtype=np.uint64))
    generator = np.random.Generator(bits)
    stream_start = bits.state
    for index in indices:
        stream_start["state"]["key"][1] = index
        bits.state = stream_start
        yield generator
