"""How fast this machine computes the features of images, and trains the networks of those that are trained here."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.config.features import FeaturesConfig, TrainedFeaturesConfig
from pipeline.data.sample_set import SampleSet
from pipeline.metrics.feature_training import train_networks
from pipeline.metrics.features import open_extractors
from pipeline.metrics.moments import moments_of
from pipeline.metrics.trained_features import save_networks
from pipeline.models.live_memory import extrapolated_peak, live_bytes
from pipeline.models.runtime import Runtime
from pipeline.system.device import wait_for
from pipeline.system.stopwatch import affordable, duration, median_seconds

_NUM_IMAGES = 256
_NUM_CLASSES = 10
_TRIAL_STEPS = 10
_LONGEST_PASS = 0.3
"""Seconds beyond which a larger batch is not tried."""


@dataclass(frozen=True)
class FeaturesSpeed:
    """Seconds of one process.

    Attributes:
        image: Of features of all kinds of one image, and of their moments.
        training_step: Of one training step of every network that is trained here; 0 for published ones.
        num_bytes: Least memory of a pass of ``features.batch_size`` images with the network that takes most, beside its
            weights.
    """

    image: float
    training_step: float
    num_bytes: int


def features_speed(
    config: FeaturesConfig, shape: tuple[int, int, int], runtime: Runtime, seconds: float
) -> FeaturesSpeed:
    """Measures on random images, with networks of random weights where they are trained here.

    Args:
        config: Which features.
        shape: (channels, height, width) of the images.
        runtime: One process.
        seconds: About as long the features of images are measured.

    Raises:
        StraightflowError: If a published network is missing or cannot be downloaded.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (_NUM_IMAGES, *shape), dtype=np.uint8)
    images = SampleSet(pixels, np.arange(_NUM_IMAGES) % _NUM_CLASSES, "forecast")
    brief, networks = _brief(config), {}

    def train() -> None:
        networks.update(train_networks(brief, images, images, runtime.device))

    train()  # loads a GPU's libraries, which takes longer than the steps
    training = duration(train)
    with tempfile.TemporaryDirectory() as folder:
        if networks:
            save_networks(networks, Path(folder) / "classifier")
        extractors = open_extractors(config, Path(folder) / "classifier", shape, runtime.device)

        def extract(num_images: int) -> None:
            chosen = torch.from_numpy(pixels[np.arange(num_images) % _NUM_IMAGES])
            for extractor in extractors:
                moments_of(extractor.extract(chosen))
            wait_for(runtime.device)

        size = affordable(extract, config.batch_size, _LONGEST_PASS)
        image = median_seconds(lambda: extract(size), seconds) / size
        one, two = (live_bytes(lambda num=num: extract(num)) for num in (1, 2))  # type: ignore[misc]
        num_bytes = extrapolated_peak(one, two, config.batch_size)
    return FeaturesSpeed(image, training / _TRIAL_STEPS if networks else 0.0, num_bytes)


def _brief(config: FeaturesConfig) -> FeaturesConfig:
    """The same with trainings of a few steps that may end at any accuracy."""

    def shortened(settings: TrainedFeaturesConfig | None) -> TrainedFeaturesConfig | None:
        return settings and settings.model_copy(update={"num_steps": _TRIAL_STEPS, "min_accuracy": 0.0})

    judge = config.judge
    if judge is not None:
        tasks = {"classifier": shortened(judge.classifier), "rotation": shortened(judge.rotation)}
        judge = judge.model_copy(update=tasks)
    tasks = {"classifier": shortened(config.classifier), "rotation": shortened(config.rotation)}
    return config.model_copy(update={**tasks, "judge": judge})
