"""Computes the metrics of a cell from its measured blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig, NeighboursConfig
from pipeline.data.order import evenly_spaced
from pipeline.evaluation.blocks import BlockMeasures
from pipeline.evaluation.reference import MEMORISATION_IMAGES, Reference
from pipeline.metrics.kernel_distance import kernel_distance
from pipeline.metrics.moments import merge_moments
from pipeline.metrics.neighbours import NeighbourMeasures, nearest_distances, neighbour_measures
from pipeline.metrics.uncertainty import distance_at_infinity, jackknife_std


@dataclass(frozen=True)
class Quality:
    """Metrics of one set of images, as in :class:`pipeline.metrics.image_row.ImageRow`."""

    fid: float
    fid_std: float
    fid_infinity: float | None
    fid_heldout: float | None
    fid_heldout_floor: float | None
    kid: float
    kid_std: float
    kid_samples: int
    precision: float
    recall: float
    density: float
    coverage: float
    neighbour_samples: int
    nearest_train_ratio: float | None


def measure_quality(blocks: Sequence[BlockMeasures], reference: Reference, config: EvaluateConfig) -> Quality:
    """Measures the images of ``blocks``, in their order, against ``reference``."""
    parts = [part for block in blocks for part in block.moments]
    moments = merge_moments(parts)
    features = np.concatenate([block.features for block in blocks])
    images = np.concatenate([block.images for block in blocks])[:MEMORISATION_IMAGES]
    neighbours, num_neighbours = _neighbour_measures(features, reference, config.neighbours)
    num_kid = config.kernel_distance.num_samples
    kid = kernel_distance(
        torch.from_numpy(features[:num_kid]).to(reference.features.device), reference.features_of(num_kid)
    )
    nearest = float(nearest_distances(images, reference.training).median())
    return Quality(
        fid=reference.frechet.distance(moments),
        fid_std=jackknife_std(parts, reference.frechet.distance),
        fid_infinity=distance_at_infinity(parts, reference.frechet.distance),
        fid_heldout=None if reference.heldout is None else reference.heldout.distance(moments),
        fid_heldout_floor=reference.heldout_floor,
        kid=kid.value,
        kid_std=kid.standard_error,
        kid_samples=kid.num_samples,
        precision=neighbours.precision,
        recall=neighbours.recall,
        density=neighbours.density,
        coverage=neighbours.coverage,
        neighbour_samples=num_neighbours,
        nearest_train_ratio=nearest / reference.heldout_nearest if reference.heldout_nearest > 0 else None,
    )


def _neighbour_measures(
    features: np.ndarray, reference: Reference, config: NeighboursConfig
) -> tuple[NeighbourMeasures, int]:
    """Measures of as many of the first features as of evenly spaced ones of the reference, and how many these are."""
    real = reference.features_of(config.num_samples)
    count = min(config.num_samples, len(features), len(real))
    generated = torch.from_numpy(features[:count]).to(real.device)
    return neighbour_measures(generated, real[evenly_spaced(len(real), count)], config.k), count
