"""Noise as a function of (seed, index): x_0 of sample i does not depend on batch, process or restart."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig

# A sample of 1,024 entries takes 10 µs to fill and 1 µs around it. A thread takes 0.1 ms to start, its least work 1 ms.
_LEAST_SIZE = 1024
_ENTRIES_PER_THREAD = 100_000

Purpose = Literal["couplings", "inversion", "evaluation", "training", "heldout", "selection"]


def stream_key(purpose: Purpose, seed: int) -> int:
    """A 64-bit key that separates the uses of one seed.

    Couplings and evaluation drawn with the same seed number must not share noise: a student would be
    measured on the very inputs it was trained on. Benchmarks that presets follow draw from ``selection``: what is
    chosen for a set of noises scores better on it than on others.
    """
    return derived_key(f"{purpose}/{seed}", 64)


def derived_key(name: str, bits: int) -> int:
    """The first ``bits`` bits of the SHA-256 of ``name``: another name has another key, but for collisions."""
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
        distribution: Mean and standard deviation of the noise.

    Returns:
        Float32 tensor of shape (len(indices), *shape). Drawn by as many threads as torch computes with
        (:func:`torch.get_num_threads`), of which it does not depend.
    """
    indices = list(indices)
    noise = np.empty((len(indices), *shape), dtype=np.float32)
    parts = np.array_split(np.arange(len(indices)), _num_threads(len(indices), math.prod(shape)))
    if len(parts) == 1:
        _fill(noise, key, indices)
    else:
        with ThreadPoolExecutor(len(parts)) as threads:
            rows = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
            for done in [threads.submit(_fill, noise[chosen], key, indices[chosen]) for chosen in rows]:
                done.result()
    return place_noise(torch.from_numpy(noise), distribution)


def place_noise(standard: torch.Tensor, distribution: NoiseConfig) -> torch.Tensor:
    """x_0 = mean + std z for standard normal noise z, (batch, …); z itself, not a copy, for N(0, I)."""
    if distribution == STANDARD_NOISE:
        return standard
    mean = standard.new_tensor(distribution.mean or (0.0,))
    return mean + distribution.std * standard


def sample_labels(
    key: int, indices: Iterable[int], num_classes: int, class_counts: Sequence[int] | None = None
) -> torch.Tensor:
    """Class labels as a function of (key, index), from other random streams than the noise.

    Args:
        key: Key of the noise that the labels go with, from :func:`stream_key`.
        indices: Sample indices, each in [0, 2^64).
        num_classes: Number of classes; labels lie in [0, num_classes).
        class_counts: Class k has the probability of its count among all, exactly; None for uniform labels.

    Returns:
        Int64 tensor of shape (len(indices),).
    """
    streams = _streams(derived_key(f"labels/{key}", 64), indices)
    if class_counts is not None:
        below = np.cumsum(class_counts)
        drawn = np.array([generator.integers(below[-1]) for generator in streams], dtype=np.int64)
        return torch.from_numpy(np.searchsorted(below, drawn, side="right").astype(np.int64))
    return torch.tensor([generator.integers(num_classes) for generator in streams], dtype=torch.int64)


def noise_check(key: int, shape: tuple[int, ...]) -> str:
    """SHA-256 of standard normal noise at four indices; changes if a library's random generator changes."""
    noise = sample_noise(key, (0, 1, 12_345, 2**40 + 7), shape)
    return hashlib.sha256(noise.numpy().tobytes()).hexdigest()


def step_generator(seed: int, step: int) -> torch.Generator:
    """The CPU random generator of one training step, a function of (seed, step) alone.

    torch seeds its Mersenne twister with 32 bits, so the pair is hashed to 32 bits. A collision would only repeat
    one step's random numbers on other images.
    """
    return torch.Generator().manual_seed(derived_key(f"step/{seed}/{step}", 32))


def _num_threads(num_samples: int, size: int) -> int:
    """Threads that drawing is worth: NumPy lets others run while it fills a sample, but not between two samples."""
    if size < _LEAST_SIZE:
        return 1
    return max(1, min(torch.get_num_threads(), num_samples * size // _ENTRIES_PER_THREAD))


def _fill(noise: np.ndarray, key: int, indices: Sequence[int]) -> None:
    for row, generator in zip(noise, _streams(key, indices), strict=True):
        generator.standard_normal(dtype=np.float32, out=row)


def _streams(key: int, indices: Iterable[int]) -> Iterator[np.random.Generator]:
    """For each index, a generator at the start of its stream; valid until the next one is requested."""
    # One generator is reset for every index: a new one would first be seeded from the operating system.
    bits = np.random.Philox(key=np.array([key, 0], dtype=np.uint64))
    generator = np.random.Generator(bits)
    stream_start = bits.state
    for index in indices:
        stream_start["state"]["key"][1] = index
        bits.state = stream_start
        yield generator
