"""Computes the metrics of a cell from its measured blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.section import FiniteFloat, NonNegativeFloat, UnitFloat
from pipeline.data.order import evenly_spaced
from pipeline.evaluation.blocks import BlockMeasures
from pipeline.evaluation.reference import MEMORISATION_IMAGES, Reference
from pipeline.metrics.kernel_distance import kernel_distance
from pipeline.metrics.moments import merge_moments
from pipeline.metrics.neighbours import nearest_distances, neighbour_measures
from pipeline.metrics.uncertainty import distance_at_infinity, jackknife_std
from pipeline.system.typed_content import NO_OTHER_KEYS


@dataclass(frozen=True)
class Quality:
    """Metrics of one set of images, as in :class:`pipeline.metrics.image_row.ImageRow`."""

    __pydantic_config__ = NO_OTHER_KEYS

    fid: NonNegativeFloat
    fid_std: NonNegativeFloat
    fid_infinity: FiniteFloat | None
    fid_heldout: NonNegativeFloat | None
    kid: FiniteFloat
    precision: UnitFloat
    recall: UnitFloat
    density: NonNegativeFloat
    coverage: UnitFloat
    nearest_train_ratio: NonNegativeFloat | None


def measure_quality(blocks: Sequence[BlockMeasures], reference: Reference, config: EvaluateConfig) -> Quality:
    """Measures the images of ``blocks``, in their order, against ``reference``."""
    parts = [part for block in blocks for part in block.moments]
    moments = merge_moments(parts)
    features = np.concatenate([block.features for block in blocks])
    images = np.concatenate([block.images for block in blocks])[:MEMORISATION_IMAGES]
    num_neighbours = min(config.neighbours.num_samples, len(features), len(reference.features))
    neighbours = neighbour_measures(
        torch.from_numpy(features[:num_neighbours]),
        reference.features[evenly_spaced(len(reference.features), num_neighbours)],
        config.neighbours.k,
    )
    kid = kernel_distance(
        features,
        reference.features.numpy(),
        num_subsets=config.kernel_distance.num_subsets,
        subset_size=config.kernel_distance.subset_size,
        rng=np.random.Generator(np.random.Philox(config.seed)),
    )
    nearest = float(nearest_distances(images, reference.training).median())
    return Quality(
        fid=reference.frechet.distance(moments),
        fid_std=jackknife_std(parts, reference.frechet.distance),
        fid_infinity=distance_at_infinity(parts, reference.frechet.distance),
        fid_heldout=None if reference.heldout is None else reference.heldout.distance(moments),
        kid=kid,
        precision=neighbours.precision,
        recall=neighbours.recall,
        density=neighbours.density,
        coverage=neighbours.coverage,
        nearest_train_ratio=nearest / reference.heldout_nearest if reference.heldout_nearest > 0 else None,
    )
