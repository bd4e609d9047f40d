"""Trains the classifier whose features measure FID."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.evaluation import ClassifierConfig
from pipeline.config.graph import Config
from pipeline.system.atomic import write_json
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/classifier and metrics/classifier.json; with other features both are placeholders."""
    del arguments
    accuracy = None
    if config.features.name == "classifier":
        accuracy = _train(config.features.classifier)
    else:
        write_json(paths.CLASSIFIER / "unused.json", {"features": config.features.name})
    write_json(Path("metrics/classifier.json"), {"accuracy_heldout": accuracy})


def _train(settings: ClassifierConfig) -> float:
    """Writes models/classifier; returns held-out accuracy. Imports torch, which other features do not need here."""
    from pipeline.data.sample_set import open_samples
    from pipeline.metrics.classifier import train_classifier
    from pipeline.metrics.features import save_classifier

    heldout = open_samples(paths.IMAGES, "heldout")
    network, accuracy = train_classifier(open_samples(paths.IMAGES, "train"), heldout, settings)
    save_classifier(network, paths.CLASSIFIER)
    return accuracy


if __name__ == "__main__":
    run(main)
