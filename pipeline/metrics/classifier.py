"""A small classifier whose features measure images that Inception does not fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from pipeline.config.evaluation import ClassifierConfig
from pipeline.data.sample_set import SampleSet
from pipeline.flow.noise import seeded_weights, step_generator
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress


class ImageClassifier(nn.Module):
    """Three convolutions, a feature layer and a linear head; input (batch, C, H, W) in [-1, 1]."""

    def __init__(self, channels: int, resolution: int, num_classes: int, num_features: int) -> None:
        super().__init__()
        side = -(-resolution // 2)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * side * side, num_features),
        )
        self.head = nn.Linear(num_features, num_classes)

    def features(self, x_1: torch.Tensor) -> torch.Tensor:
        """Feature layer, (batch, num_features)."""
        features: torch.Tensor = self.body(x_1)
        return features

    def forward(self, x_1: torch.Tensor) -> torch.Tensor:
        """Class logits, (batch, num_classes)."""
        logits: torch.Tensor = self.head(torch.relu(self.features(x_1)))
        return logits


def train_classifier(train: SampleSet, heldout: SampleSet, config: ClassifierConfig) -> tuple[ImageClassifier, float]:
    """Trains on ``train`` and returns the network with its accuracy on ``heldout``.

    Raises:
        StraightflowError: If there are no labels, or accuracy stays below ``config.min_accuracy``.
    """
    if train.labels is None or heldout.labels is None:
        raise StraightflowError(
            expected="labels, which classifier features need",
            found="a data set without",
            mend="set data.label_column, or features.name: inception",
        )
    num_classes = int(train.labels.max()) + 1
    with seeded_weights(config.seed):
        network = ImageClassifier(train.shape[0], train.shape[1], num_classes, config.num_features)
    images, labels = train.load(np.arange(len(train)))["x_1"], torch.from_numpy(train.labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)
    with Progress("classifier", config.num_steps, "steps") as progress:
        for step in range(config.num_steps):
            rows = torch.randint(len(images), (config.batch_size,), generator=step_generator(config.seed, step))
            loss = nn.functional.cross_entropy(network(images[rows]), labels[rows])
            optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.num_steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            progress.advance()
    accuracy = _accuracy(network.eval(), heldout)
    if accuracy < config.min_accuracy:
        raise StraightflowError(
            expected=f"held-out accuracy of at least {config.min_accuracy}",
            found=f"{accuracy:.4f}",
            mend="raise features.classifier.num_steps, or use features.name: inception",
        )
    return network, accuracy


@torch.inference_mode()
def _accuracy(network: ImageClassifier, images: SampleSet) -> float:
    predicted = network(images.load(np.arange(len(images)))["x_1"]).argmax(dim=1)
    return float((predicted == torch.from_numpy(images.labels)).double().mean())
