"""What the measuring stages share: the feature extractor and the reference statistics."""

from __future__ import annotations

import torch

from pipeline.config import Config
from pipeline.data import open_images
from pipeline.metrics.features import FeatureExtractor, classifier_features, extract_all, inception_features
from pipeline.metrics.frechet import FeatureStatistics, statistics_of
from stages import paths


def open_measure(config: Config, device: torch.device) -> tuple[FeatureExtractor, FeatureStatistics]:
    """The configured features and the statistics of the reference split under them."""
    reference = open_images(paths.IMAGES, config.features.reference)
    if config.features.name == "classifier":
        extract = classifier_features(paths.CLASSIFIER, reference.shape[0], reference.shape[1], device)
    else:
        extract = inception_features(device)
    return extract, statistics_of(extract_all(extract, reference.images, config.features.batch_size))
