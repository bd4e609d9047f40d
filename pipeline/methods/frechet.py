"""Fréchet: any step, and the distance of one-step images to the data in the features of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from pipeline.methods.any_step import AnyStep
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.running_moments import RunningMoments
from pipeline.models.student import predict_velocity


class FeatureTarget(Protocol):
    """A network's features, and their moments over the training images."""

    @property
    def num_features(self) -> int:
        """Length of the vectors of features."""

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Features (batch, num_features) of images (batch, C, H, W) in [-1, 1], with a gradient."""

    def distance(self, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
        """Fréchet distance of moments, (num_features,) and (num_features, num_features), to the training images'."""


@dataclass(frozen=True)
class Frechet(Objective):
    """Regression from the student's own states, and descent of a Fréchet distance at one step (arXiv 2604.28190).

    To the loss of every sample is added w · FD / (1 - β): FD between the running moments of x_0 + v(x_0, 0) over fresh
    noise and those of the training images, β the momentum of the running ones, so that w weighs a gradient with
    respect to a batch's moments. While the first batches are averaged the newest one's share stands for 1 - β. The
    batch's moments are of all processes. Such a student's FID by these features is what it was trained for: another
    network must judge it.

    Attributes:
        regression: From pairs, at all times.
        target: The features, and what they should be like.
        moments: Running ones, which every step with a gradient changes.
        generated_per_pair: One-step images for each pair of the batch.
        weight: w.
    """

    regression: AnyStep
    target: FeatureTarget
    moments: RunningMoments
    generated_per_pair: int
    weight: float

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """What the regression draws, and ``fresh_noise``, (batch, generated_per_pair, …), from N(0, I)."""
        drawn = self.regression.draw(x_1, generator)
        shape = (len(x_1), self.generated_per_pair, *x_1.shape[1:])
        return drawn | {"fresh_noise": torch.randn(shape, generator=generator)}

    def times(self, batch: Batch) -> torch.Tensor:
        """The regression's t."""
        return self.regression.times(batch)

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The regression's loss, (batch,), and the distance added to each; without gradients the regression's alone.

        Moments are of a whole batch's images, so a step calls it once. Images are of the classes of the batch.
        """
        losses = self.regression.loss(network, batch)
        if not torch.is_grad_enabled():
            return losses
        x_0, labels = batch["fresh_noise"].flatten(0, 1), batch.get("labels")
        if labels is not None:
            labels = labels.repeat_interleave(self.generated_per_pair, dim=0)
        images = x_0 + predict_velocity(network, x_0, x_0.new_zeros(len(x_0)), labels)
        blended = self.moments.blend(self.target.features(images.clamp(-1, 1)))
        distance = self.target.distance(blended.mean, blended.covariance)
        return losses + (self.weight / blended.share * distance).to(losses)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The running moments."""
        return self.moments.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on from them."""
        self.moments.load_state_dict(state)
