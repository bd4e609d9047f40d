"""The quality of the images in a store of couplings."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.quality import Quality, measure_quality, num_kept
from pipeline.evaluation.reference import Reference
from pipeline.evaluation.stretches import divide, measure_stretch, parts_per_stretch
from pipeline.flow.solvers import Solution
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.neighbours import require_neighbours


def measure_store(
    store: CouplingStore, num_samples: int, config: EvaluateConfig, extractor: FeatureExtractor, reference: Reference
) -> Quality:
    """Measures the first ``num_samples`` images of a store as models are measured.

    Raises:
        StraightflowError: If the store does not fit the reference.
    """
    reference.check(store.manifest.shape, num_samples, "evaluate.num_samples and the couplings' num_pairs")
    require_neighbours(num_samples, len(reference.features), config.neighbours.k)
    stretches = divide(num_samples, config.batch_size)
    measured = [
        measure_stretch(
            lambda batch: Solution(store.x_1(np.arange(batch.start, batch.stop)), nfe=0),
            indices,
            extractor,
            torch.device("cpu"),
            batch_size=config.batch_size,
            num_parts=parts_per_stretch(stretches),
            num_kept=num_kept(config),
        )
        for indices in stretches
    ]
    return measure_quality(measured, reference, config)
