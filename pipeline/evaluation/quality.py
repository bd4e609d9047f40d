"""Computes the metrics of a cell from its measured blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig, NeighboursConfig
from pipeline.config.section import FiniteFloat, NonNegativeFloat, PositiveInt, UnitFloat
from pipeline.data.order import evenly_spaced
from pipeline.evaluation.blocks import BlockMeasures
from pipeline.evaluation.reference import MEMORISATION_IMAGES, Reference
from pipeline.metrics.kernel_distance import kernel_distance
from pipeline.metrics.moments import Moments, merge_moments
from pipeline.metrics.neighbours import NeighbourMeasures, neighbour_measures
from pipeline.metrics.uncertainty import jackknife
from pipeline.system.typed_content import NO_OTHER_KEYS

_OF_SINGLE_IMAGES = (
    "kid", "kid_std", "kid_samples", "precision", "recall", "density", "coverage", "neighbour_samples",
)  # fmt: skip


@dataclass(frozen=True)
class Quality:
    """Metrics of one set of images by one kind of features, as in :class:`pipeline.metrics.image_row.ImageRow`."""

    __pydantic_config__ = NO_OTHER_KEYS

    num_samples: PositiveInt
    num_chunks: PositiveInt
    fid: NonNegativeFloat
    fid_low: FiniteFloat | None
    fid_high: FiniteFloat | None
    fid_infinity: FiniteFloat | None
    fid_infinity_low: FiniteFloat | None
    fid_infinity_high: FiniteFloat | None
    fid_heldout: NonNegativeFloat | None
    fid_heldout_floor: NonNegativeFloat | None
    kid: FiniteFloat | None
    kid_std: NonNegativeFloat | None
    kid_samples: PositiveInt | None
    precision: UnitFloat | None
    recall: UnitFloat | None
    density: NonNegativeFloat | None
    coverage: UnitFloat | None
    neighbour_samples: PositiveInt | None
    nearest_train_ratio: NonNegativeFloat | None
    fid_deviations: tuple[FiniteFloat, ...]


def measure_quality(
    chunks: Sequence[Sequence[BlockMeasures]], references: Sequence[Reference], config: EvaluateConfig
) -> tuple[tuple[Quality, ...], ...]:
    """Measures the images of all chunks against each reference.

    Args:
        chunks: Blocks of each chunk, in order.
        references: One for each kind of the blocks' features.
        config: Settings of the metrics.

    Returns:
        For each reference the metrics of a chunk, averaged over chunks, and those of all images at once if there are
        several chunks.
    """
    images = np.concatenate([block.images for blocks in chunks for block in blocks])[:MEMORISATION_IMAGES]
    nearest = _nearest_train_ratio(images, references[0])
    return tuple(_by_features(chunks, at, reference, config, nearest) for at, reference in enumerate(references))


def _by_features(
    chunks: Sequence[Sequence[BlockMeasures]],
    kind: int,
    reference: Reference,
    config: EvaluateConfig,
    nearest_train_ratio: float | None,
) -> tuple[Quality, ...]:
    parts = [[part for block in blocks for part in block.features[kind].moments] for blocks in chunks]
    kept = np.concatenate([block.features[kind].kept for blocks in chunks for block in blocks])
    by_image = _by_single_images(kept, reference, config)

    def quality(divided: Sequence[Sequence[Moments]]) -> Quality:
        found = jackknife(divided, reference.frechet.distance)
        fid, infinity = found.estimate, found.at_infinity
        heldout = reference.heldout
        return Quality(
            num_samples=sum(part.count for part in divided[0]),
            num_chunks=len(divided),
            fid=found.value,
            fid_low=None if fid is None else fid.low,
            fid_high=None if fid is None else fid.high,
            fid_infinity=None if infinity is None else infinity.value,
            fid_infinity_low=None if infinity is None else infinity.low,
            fid_infinity_high=None if infinity is None else infinity.high,
            fid_heldout=None
            if heldout is None
            else float(np.mean([heldout.distance(merge_moments(chunk)) for chunk in divided])),
            fid_heldout_floor=reference.heldout_floor,
            **by_image,
            nearest_train_ratio=nearest_train_ratio,
            fid_deviations=found.deviations,
        )

    if len(chunks) == 1:
        return (quality(parts),)
    return quality(parts), quality([[part for chunk in parts for part in chunk]])


def _by_single_images(features: np.ndarray, reference: Reference, config: EvaluateConfig) -> dict[str, Any]:
    """Metrics that compare with single images of the reference; None where these are not at hand."""
    if reference.features is None:
        return dict.fromkeys(_OF_SINGLE_IMAGES)
    neighbours, num_neighbours = _neighbour_measures(features, reference, config.neighbours)
    count = config.kernel_distance.num_samples
    generated = torch.from_numpy(features[:count]).to(reference.features.device)
    kid = kernel_distance(generated, reference.kernel_reference(count))
    return {
        "kid": kid.value,
        "kid_std": kid.standard_error,
        "kid_samples": kid.num_samples,
        "precision": neighbours.precision,
        "recall": neighbours.recall,
        "density": neighbours.density,
        "coverage": neighbours.coverage,
        "neighbour_samples": num_neighbours,
    }


def _nearest_train_ratio(images: np.ndarray, reference: Reference) -> float | None:
    nearest, of_heldout = reference.median_nearest(images), reference.heldout_nearest
    return nearest / of_heldout if nearest is not None and of_heldout else None


def _neighbour_measures(
    features: np.ndarray, reference: Reference, config: NeighboursConfig
) -> tuple[NeighbourMeasures, int]:
    """Measures of as many of the first features as of evenly spaced ones of the reference, and how many these are."""
    real = reference.features_of(config.num_samples)
    count = min(config.num_samples, len(features), len(real))
    generated = torch.from_numpy(features[:count]).to(real.device)
    return neighbour_measures(generated, real[evenly_spaced(len(real), count)], config.k), count
