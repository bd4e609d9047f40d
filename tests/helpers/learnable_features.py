"""Pixels as features that a student learns."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.metrics.frechet import CPU, FrechetReference
from pipeline.metrics.moments import Moments


class PixelFeatures:
    """The pixels of images on ``device`` as they are, to be like those of a set of this mean and covariance."""

    def __init__(self, mean: np.ndarray, covariance: np.ndarray, device: torch.device = CPU) -> None:
        # Two features have their scatter as covariance.
        self._reference = FrechetReference(Moments(2, mean, covariance), device)
        self.num_features = len(mean)
        self.seen: list[torch.Tensor] = []

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.detach())
        return images.flatten(1)

    def distance(self, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
        return self._reference.differentiable_distance(mean, covariance)
