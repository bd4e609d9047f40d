"""Trains the networks whose features measure FID: the first, and the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config.features import FeaturesConfig, trained_tasks
from pipeline.config.graph import Config
from pipeline.system.atomic import write_json
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/classifier and metrics/classifier.json; where no features are trained both are placeholders."""
    del arguments
    found: dict[str, Any] = {"first": None, "judge": None}
    if any(trained_tasks(name) for name in config.features.names):
        found |= _train(config.features)
    else:
        write_json(paths.CLASSIFIER / "unused.json", {"features": list(config.features.names)})
    write_json(Path("metrics/classifier.json"), found)


def _train(config: FeaturesConfig) -> dict[str, Any]:
    """Writes models/classifier; returns its record. Imports torch, which other features do not need here."""
    from pipeline.data.sample_set import open_samples
    from pipeline.metrics.feature_training import train_networks
    from pipeline.metrics.trained_features import save_networks

    trained = train_networks(config, open_samples(paths.IMAGES, "train"), open_samples(paths.IMAGES, "heldout"))
    save_networks(trained, paths.CLASSIFIER)
    return {
        role: {"features": item.description.name, "accuracy_heldout": item.accuracy_heldout}
        for role, item in trained.items()
    }


if __name__ == "__main__":
    run(main)
