"""Where stages keep their inputs and outputs, relative to the project's folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.model_names import AUTOENCODER
from pipeline.evaluation.folders import MeasuringFolders
from stages.code import code_of_references

PROJECT = Path()
DATA_INPUT = Path("inputs/data.json")
TEACHER_INPUT = Path("inputs/teacher.json")
IMAGES = Path("data/images")
LATENTS = Path("data/latents")
CLASSIFIER = Path("models/classifier")
LEARNABLE = Path("inputs/features")
RUNS = Path("runs")
CELLS = RUNS / "cells"
REFERENCES = RUNS / "references"
PROGRESS = RUNS / "progress"
FEW_STEP = Path("metrics/few_step.csv")
SUMMARY = Path("metrics/summary.json")
REPORT = Path("report")
OUTPUTS = (
    IMAGES,
    LATENTS,
    *map(Path, ("models", "couplings", "runs", "metrics", "samples", "report", "inputs", "watch")),
)
"""Folders that stages and DVC write and delete; the user's inputs must lie elsewhere."""


def written() -> list[Path]:
    """Folders that stages write files in."""
    patterns = ("inputs/*", "data", "models", "couplings/*", "metrics/*", "samples", "report", "runs", "runs/*")
    found = {folder for pattern in patterns for folder in PROJECT.glob(pattern) if folder.is_dir()}
    return sorted(found | {folder.parent for folder in found})


def code(stage: str) -> Path:
    """Record of the code that a stage runs."""
    return Path("inputs/code") / f"{stage}.json"


def learnable_features(method: str) -> Path:
    """What students of a method learn of a network's features; of most methods a mark that it is nothing.

    A student depends on its own method's alone, so that no other is trained again when the features change.
    """
    return LEARNABLE / method


def trained_on(name: str) -> Path:
    """Prepared data that models of the data learn, ``images`` or ``latents``."""
    return Path("data") / name


def model(name: str) -> Path:
    """Folder of a saved model."""
    return Path("models") / name


def couplings(name: str) -> Path:
    """Store of couplings."""
    return Path("couplings") / name / "store"


def couplings_cost(name: str) -> Path:
    """What drawing couplings computed."""
    return Path("couplings") / name / "cost.json"


def gate(name: str) -> Path:
    """Record of the store of couplings that may be trained on."""
    return Path("couplings") / name / "gate.json"


def quality(name: str) -> Path:
    """Measured quality of couplings, beside their store."""
    return Path("couplings") / name / "quality.json"


def evaluation(model_name: str) -> Path:
    """Measured cells of a model."""
    return Path("metrics/evaluate") / f"{model_name}.json"


def samples(model_name: str) -> Path:
    """Images of a model for the sample grids."""
    return Path("samples") / f"{model_name}.safetensors"


def measuring(project: Path = PROJECT) -> MeasuringFolders:
    """What models and couplings of the run in the folder ``project`` are measured with."""
    return MeasuringFolders(
        project / IMAGES, project / CLASSIFIER, project / REFERENCES, project / CELLS, code_of_references
    )


def losses(model_name: str) -> Path:
    """Training curve of a model."""
    return Path("metrics/training") / f"{model_name}.csv"


def training_cost(model_name: str) -> Path:
    """Time and speed of a model's training, and the weight average that was chosen."""
    return Path("metrics/training") / f"{model_name}.json"


def encoding_cost() -> Path:
    """What encoding the data took; no model has a name with a dot."""
    return Path("metrics/training") / f"{AUTOENCODER}.encoding.json"


def watched(model_name: str) -> Path:
    """Folder of the numbers and images from watching a model's training."""
    return Path("watch") / model_name
