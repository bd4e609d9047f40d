"""Networks for features with random weights, saved as those that were trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.metrics.feature_networks import NetworkDescription, Task
from pipeline.metrics.feature_training import ARCHITECTURES, Role, TrainedNetwork
from pipeline.metrics.trained_features import save_networks


def save_untrained(
    folder: Path,
    *,
    task: Task = "classifier",
    shape: tuple[int, int, int] = (1, 8, 8),
    num_features: int = 16,
    roles: Sequence[Role] = ("first", "judge"),
) -> None:
    """Saves one for each role, of ten classes."""
    found: dict[Role, TrainedNetwork] = {}
    for role in roles:
        description = NetworkDescription(task, ARCHITECTURES[role][task], shape, num_features, 10)
        found[role] = TrainedNetwork(description, description.build(), 0.1)
    save_networks(found, folder)
