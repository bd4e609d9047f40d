"""Trains the networks whose features measure FID: the first, and the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config.features import FeaturesConfig, trained_tasks
from pipeline.config.graph import Config
from pipeline.config.methods import METHODS
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.replacing import holding_only
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/classifier, metrics/classifier.json and inputs/features; placeholders where nothing is trained."""
    del arguments
    found: dict[str, Any] = {"first": None, "judge": None}
    if any(trained_tasks(name) for name in config.features.names):
        found |= _train(config.features)
    else:
        write_json(paths.CLASSIFIER / "unused.json", {"features": list(config.features.names)})
    for method, section in METHODS.items():
        if not section.learns_features or found["first"] is None:
            leave_unused(paths.learnable_features(method))
    write_json(Path("metrics/classifier.json"), found)


def _train(config: FeaturesConfig) -> dict[str, Any]:
    """Writes networks; returns their record. Imports torch, which other features do not need here."""
    from pipeline.data.sample_set import open_samples
    from pipeline.metrics.feature_training import train_networks
    from pipeline.metrics.learnable_features import save_learnable_features
    from pipeline.metrics.trained_features import save_networks
    from pipeline.system.device import main_device

    images = open_samples(paths.IMAGES, "train")
    trained = train_networks(config, images, open_samples(paths.IMAGES, "heldout"), main_device())
    save_networks(trained, paths.CLASSIFIER)
    if "first" in trained:  # never the judge, by which nothing is trained
        for method in (name for name, section in METHODS.items() if section.learns_features):
            network, description = trained["first"].network, trained["first"].description
            save_learnable_features(network, description, images, paths.learnable_features(method))
    return {
        role: {"features": item.description.name, "accuracy_heldout": item.accuracy_heldout}
        for role, item in trained.items()
    }


def leave_unused(folder: Path) -> None:
    """Marks that students learn nothing of features, in a folder whose content never changes."""
    with atomic_folder(folder, ours=holding_only("*.json", "*.safetensors")) as temporary:
        write_json(temporary / "unused.json", {})


if __name__ == "__main__":
    run(main)
