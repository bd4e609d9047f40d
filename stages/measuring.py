"""What the measuring stages share: the feature extractor and what images are compared with."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config
from pipeline.data.sample_set import open_samples
from pipeline.evaluation.quality import num_kept
from pipeline.evaluation.reference import Reference, open_reference
from pipeline.metrics.features import FeatureExtractor, open_extractor
from pipeline.models.runtime import Runtime
from stages import paths


def open_measure(config: Config, runtime: Runtime, project: Path = paths.PROJECT) -> tuple[FeatureExtractor, Reference]:
    """The configured features, and the reference split under them, of a run in the folder ``project``."""
    train, heldout = (open_samples(project / paths.IMAGES, split) for split in ("train", "heldout"))
    extractor = open_extractor(config.features, project / paths.CLASSIFIER, train.shape, runtime.device)
    reference = open_reference(
        train,
        heldout,
        config.features.reference,
        extractor,
        runtime,
        num_features_kept=num_kept(config.evaluate),
        batch_size=config.features.batch_size,
        folder=project / paths.REFERENCES,
    )
    return extractor, reference
