"""Trains small networks for their features: on classes where the images have them, else on rotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from pipeline.config.features import FeaturesConfig, TrainedFeaturesConfig, trained_tasks
from pipeline.data.labels import has_classes, require_classes
from pipeline.data.sample_set import SampleSet
from pipeline.flow.noise import step_generator
from pipeline.metrics.feature_networks import Architecture, FeatureNetwork, NetworkDescription, Task
from pipeline.system.blocks import batches_of
from pipeline.system.copies import on_device
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress
from pipeline.system.random_state import seeded

Role = Literal["first", "judge"]
"""Anything may be chosen by the ``first``, nothing by the ``judge``."""

ARCHITECTURES: Mapping[Role, Mapping[Task, Architecture]] = {
    "first": {"classifier": "flat", "rotation": "pooled"},
    "judge": {"classifier": "residual", "rotation": "residual"},
}
"""Each role has architectures of its own, so that the two do not err alike."""

SECTIONS: Mapping[Role, str] = {"first": "features", "judge": "features.judge"}

NUM_ROTATIONS = 4
"""By 0, 90, 180 and 270 degrees."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network ready to measure.

    Attributes:
        description: What it is.
        network: The network.
        accuracy_heldout: Share of held-out images, or of their rotations, that it predicts rightly.
    """

    description: NetworkDescription
    network: FeatureNetwork
    accuracy_heldout: float


def train_networks(
    config: FeaturesConfig, train: SampleSet, heldout: SampleSet, device: torch.device
) -> dict[Role, TrainedNetwork]:
    """Trains those of the configured features that are trained here; none where all are published networks.

    Args:
        config: Which features.
        train: Training images.
        heldout: Held-out images.
        device: Where they are trained; they are returned on the CPU.

    Raises:
        StraightflowError: See :func:`train_network`.
    """
    found: dict[Role, TrainedNetwork] = {}
    roles: tuple[Role, ...] = ("first", "judge")
    for role, section in zip(roles, (config, config.judge), strict=True):
        if section is None or not trained_tasks(section.name):
            continue
        task = choose_task(section.name, train, heldout)
        settings: TrainedFeaturesConfig = getattr(section, task)  # there, as the configuration was validated
        found[role] = train_network(role, task, train, heldout, settings, device)
    return found


def choose_task(name: str, train: SampleSet, heldout: SampleSet) -> Task:
    """What features that are trained here predict: ``auto`` takes classes where there are two or more."""
    if name == "auto":
        return "classifier" if has_classes(_labels(train, heldout)) else "rotation"
    return "classifier" if name == "classifier" else "rotation"


def train_network(
    role: Role, task: Task, train: SampleSet, heldout: SampleSet, config: TrainedFeaturesConfig, device: torch.device
) -> TrainedNetwork:
    """Trains one network on ``train``, and measures its accuracy on ``heldout``.

    Rotations are predicted as by Gidaris et al. 2018: each image of a batch is in it in all four.

    Args:
        role: Whose architecture it has.
        task: What is predicted.
        train: Training images.
        heldout: Held-out images.
        config: Settings of the training.
        device: Where it is trained, in float32; the network is returned on the CPU.

    Raises:
        StraightflowError: If the task is ``classifier`` and there are fewer than two classes, or if accuracy stays
            below ``config.min_accuracy``.
    """
    section = SECTIONS[role]
    num_outputs = NUM_ROTATIONS
    if task == "classifier":
        num_outputs = int(require_classes(_labels(train, heldout), f"{section}.name: classifier").max()) + 1
    channels, height, width = train.shape
    description = NetworkDescription(
        task, ARCHITECTURES[role][task], (channels, height, width), config.num_features, num_outputs
    )
    with seeded(config.seed):
        network = description.build().to(device)
    # A GPU gives the same network again, and products of float32 as a CPU does.
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        _fit(network, task, train, config, device)
        accuracy = _accuracy(network.eval(), task, heldout, config.batch_size, device)
    if accuracy < config.min_accuracy:
        raise StraightflowError(
            expected=f"held-out accuracy of at least {config.min_accuracy} by {description.name} features",
            found=f"{accuracy:.4f}",
            mend=f"raise {section}.{task}.num_steps; or lower {section}.{task}.min_accuracy, if these images cannot be "
            f"told apart better; or set {section}.name to inception or dinov2",
        )
    return TrainedNetwork(description, network.cpu(), accuracy)


def _fit(
    network: FeatureNetwork, task: Task, images: SampleSet, config: TrainedFeaturesConfig, device: torch.device
) -> None:
    num_rows = config.batch_size if task == "classifier" else -(-config.batch_size // NUM_ROTATIONS)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)
    with Progress(f"features from {task}", config.num_steps, "steps") as progress:
        for step in range(config.num_steps):
            rows = torch.randint(len(images), (num_rows,), generator=step_generator(config.seed, step))
            x_1, targets = _examples(task, images, rows.numpy(), device)
            loss = nn.functional.cross_entropy(network(x_1), targets)
            optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - step / config.num_steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            progress.advance()


@torch.inference_mode()
def _accuracy(network: FeatureNetwork, task: Task, images: SampleSet, batch_size: int, device: torch.device) -> float:
    """Share of right predictions, over every image and, where rotations are predicted, each of its four."""
    right: list[torch.Tensor] = []
    for rows in batches_of(range(len(images)), batch_size):
        x_1, targets = _examples(task, images, np.array(rows), device)
        right.append(network(x_1).argmax(dim=1) == targets)
    return float(torch.cat(right).cpu().double().mean())


def _labels(train: SampleSet, heldout: SampleSet) -> np.ndarray | None:
    """Classes of the training images; None unless held-out images have theirs too."""
    return train.labels if heldout.labels is not None else None


def _examples(
    task: Task, images: SampleSet, rows: np.ndarray, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images on ``device``, float32, (num, C, H, W), and what is to be predicted of them, int64, (num,)."""
    x_1 = on_device(images.load(rows)["x_1"], device)
    if task == "classifier":
        assert images.labels is not None  # checked before training
        return x_1, on_device(torch.from_numpy(images.labels[rows]), device)
    turned = torch.cat([torch.rot90(x_1, quarters, (2, 3)) for quarters in range(NUM_ROTATIONS)])
    return turned, torch.arange(NUM_ROTATIONS, device=device).repeat_interleave(len(rows))
