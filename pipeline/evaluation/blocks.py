"""Blocks of consecutive images: the unit of work of a process. The blocks' moments are merged into the result.

How images are divided into blocks and batches depends only on the sample count and the batch size. Any number of
processes therefore adds up the same numbers in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from pipeline.data.pixels import to_uint8
from pipeline.evaluation.peak_memory import peak_memory_mib, reset_peak_memory
from pipeline.flow.solvers import Solution
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.metrics.uncertainty import NUM_PARTS
from pipeline.system.blocks import BLOCK_BYTES, batches_of
from pipeline.system.device import wait_for
from pipeline.system.errors import StraightflowError
from pipeline.system.finite import all_finite

Made = TypeVar("Made")


@dataclass(frozen=True)
class BlockFeatures:
    """Features of one block of images, of one kind.

    Attributes:
        moments: Their moments, in one part or several.
        kept: Features of the images with an index below ``num_features_kept``, (count, num_features).
    """

    moments: tuple[Moments, ...]
    kept: np.ndarray


@dataclass(frozen=True)
class BlockMeasures:
    """Measurements of one block of images.

    Attributes:
        start: Index of its first image.
        features: Its features of each kind.
        images: Its images with an index below ``num_images_kept``, uint8, (count, C, H, W).
        evaluations: (images, network calls per image) of each batch.
        seconds: Sampling time: from noise on the device to samples on the device.
        decoding_seconds: Time of decoding latents; 0 where samples are images.
        peak_memory_mib: Peak memory while sampling; None if unknown.
    """

    start: int
    features: tuple[BlockFeatures, ...]
    images: np.ndarray
    evaluations: tuple[tuple[int, int], ...]
    seconds: float
    peak_memory_mib: float | None
    decoding_seconds: float = 0.0


def sample_blocks(num_samples: int, batch_size: int, *, first: int = 0) -> list[range]:
    """Consecutive indices of each block from ``first`` on, in whole batches; about ``NUM_PARTS`` blocks if possible."""
    num_batches = -(-num_samples // batch_size)
    length = batch_size * max(1, num_batches // NUM_PARTS)
    stop = first + num_samples
    return [range(start, min(start + length, stop)) for start in range(first, stop, length)]


def chunk_blocks(num_samples: int, chunk_samples: int, batch_size: int) -> list[list[range]]:
    """Blocks of each chunk of ``chunk_samples`` consecutive images, of which ``num_samples`` is a multiple."""
    starts = range(0, num_samples, chunk_samples)
    return [sample_blocks(chunk_samples, batch_size, first=start) for start in starts]


def measure_block(
    prepare: Callable[[range], Callable[[], Solution]],
    indices: range,
    extractors: Sequence[FeatureExtractor],
    device: torch.device,
    *,
    decode: Callable[[torch.Tensor], torch.Tensor] | None,
    batch_size: int,
    num_parts: int,
    num_features_kept: int,
    num_images_kept: int,
) -> BlockMeasures:
    """Generates the images with these indices, batch by batch, and measures them.

    Args:
        prepare: Indices → function that makes their samples. Only the latter counts as sampling time.
        indices: The block.
        extractors: Features of each kind.
        device: Device whose peak memory is measured, and which is waited for.
        decode: Latents → images in [-1, 1]; None where samples are images.
        batch_size: Images per call of ``prepare``.
        num_parts: Parts into which each batch is divided for its moments, so that there are enough for a jackknife.
        num_features_kept: Features of images with an index below it are kept.
        num_images_kept: Images with an index below it are kept.

    Raises:
        StraightflowError: If an image is not finite.
    """
    moments: list[list[Moments]] = [[] for _ in extractors]
    features: list[list[np.ndarray]] = [[] for _ in extractors]
    images, evaluations = [], []
    seconds, decoding_seconds, peaks = 0.0, 0.0, []
    for batch in batches_of(indices, batch_size):
        generate = prepare(batch)
        reset_peak_memory(device)
        solution, batch_seconds = _timed(generate, device)
        seconds += batch_seconds
        peaks.append(peak_memory_mib(device))
        decoded = solution.x
        if decode is not None:
            decoded, batch_seconds = _timed(partial(decode, solution.x), device)
            decoding_seconds += batch_seconds
        checked, finite = checked_pixels(decoded)
        pixels = checked.cpu()
        if not finite:
            raise StraightflowError(
                expected="finite images",
                found=f"NaN or infinity among samples {batch.start} to {batch.stop - 1}",
                mend="check the model, or set compute.precision: fp32; cells measured so far are kept",
            )
        for at, extractor in enumerate(extractors):
            found = extractor.extract(pixels)
            moments[at] += [moments_of(part) for part in np.array_split(found, min(num_parts, len(found)))]
            if num_parts == 1 and sum(part.scatter.nbytes for part in moments[at]) > BLOCK_BYTES:
                moments[at] = [merge_moments(moments[at])]
            # Copies, as views would keep whole batches alive.
            features[at].append(found[: max(0, num_features_kept - batch.start)].copy())
        images.append(pixels[: max(0, num_images_kept - batch.start)].numpy().copy())
        evaluations.append((len(batch), solution.nfe))
    known = [peak for peak in peaks if peak is not None]
    return BlockMeasures(
        start=indices.start,
        features=tuple(
            BlockFeatures(tuple(parts) if num_parts > 1 else (merge_moments(parts),), np.concatenate(of_kind))
            for parts, of_kind in zip(moments, features, strict=True)
        ),
        images=np.concatenate(images),
        evaluations=tuple(evaluations),
        seconds=seconds,
        peak_memory_mib=max(known) if known else None,
        decoding_seconds=decoding_seconds,
    )


def checked_pixels(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """8-bit images, and whether all are finite, a scalar; both where ``x`` is, and not waited for."""
    return to_uint8(x), all_finite(x)


def _timed(generate: Callable[[], Made], device: torch.device) -> tuple[Made, float]:
    """What it makes, and the seconds from an idle device to an idle device."""
    wait_for(device)
    before = time.perf_counter()
    made = generate()
    wait_for(device)
    return made, time.perf_counter() - before


def parts_per_block(blocks: Sequence[range]) -> int:
    """Parts per block that give at least ``NUM_PARTS`` in all."""
    return -(-NUM_PARTS // len(blocks))
