"""Names of what evaluation caches, by everything that it depends on: references, cells, trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.features import ReferenceFileConfig
from pipeline.config.solver import SolverConfig
from pipeline.metrics.features import FeatureExtractor
from pipeline.system.fingerprint import fingerprint_json

_DIGITS = 16


@dataclass(frozen=True)
class Machine:
    """What numbers depend on besides files and settings: type of the device, and autocast type of network calls."""

    device: str
    precision: str


def reference_name(
    split: str, images: str, extractor: FeatureExtractor, feature_counts: Sequence[int], code: Mapping[str, str]
) -> str:
    """Name of a split's statistics by one kind of features.

    Args:
        split: Name of the split.
        images: Its fingerprint.
        extractor: The features.
        feature_counts: Numbers of images whose features are kept one by one.
        code: Hashes of the code that measures.
    """
    inputs = [images, split, extractor.name, extractor.fingerprint, list(feature_counts), dict(code)]
    return f"{split}-{fingerprint_json(inputs)[:_DIGITS]}"


def file_reference_name(file: ReferenceFileConfig) -> str:
    """Name of a reference whose statistics are read from a file."""
    return f"file-{file.sha256[:_DIGITS]}"


def cell_inputs(
    model: str,
    machine: Machine,
    references: Sequence[tuple[FeatureExtractor, str]],
    config: EvaluateConfig,
    code: Mapping[str, str],
) -> list[Any]:
    """What every cell of a model depends on.

    Args:
        model: Fingerprint of its folder.
        machine: Where it is measured.
        references: Each kind of features, with the name of its reference.
        config: Settings of the evaluation.
        code: Hashes of the code that measures.
    """
    return [
        dict(code),
        model,
        machine.precision,
        machine.device,
        [[extractor.name, extractor.fingerprint, name] for extractor, name in references],
        [config.seed, config.num_samples, config.batch_size, config.grid_images],
        [config.neighbours.model_dump(), config.kernel_distance.model_dump()],
    ]


def cell_name(inputs: Sequence[Any], solver: SolverConfig, num_samples: int) -> str:
    """Name of a model's cell; ``inputs`` are from :func:`cell_inputs`."""
    whole = [list(inputs), solver.model_dump(mode="json"), num_samples]
    return f"{solver.label}-{solver.num_steps}-{fingerprint_json(whole)[:_DIGITS]}"


def trajectories_name(model: str, machine: Machine, config: EvaluateConfig, code: Mapping[str, str]) -> str:
    """Name of the measures of a model's trajectories; arguments as of :func:`cell_inputs`."""
    settings = config.straightness.model_dump(mode="json")
    inputs = [model, machine.precision, machine.device, config.seed, settings]
    return f"trajectories-{fingerprint_json([inputs, dict(code)])[:_DIGITS]}"


def drawn_name(model: str, machine: Machine, drawn: DrawnTrajectories, seed: int, code: Mapping[str, str]) -> str:
    """Name of a model's drawn trajectories; ``seed`` is that of the evaluation, others as of :func:`cell_inputs`."""
    guidance = None if drawn.guidance is None else drawn.guidance.model_dump(mode="json")
    inputs = [model, machine.precision, machine.device, seed, drawn.along_ode, drawn.num_steps, guidance]
    return f"drawn-{fingerprint_json([inputs, dict(code)])[:_DIGITS]}"


def classes_name(inputs: Sequence[Any], solver: SolverConfig, config: EvaluateConfig) -> str:
    """Name of the measures of a model's classes; ``inputs`` are from :func:`cell_inputs`."""
    whole = [list(inputs), solver.model_dump(mode="json"), config.per_class]
    return f"classes-{fingerprint_json(whole)[:_DIGITS]}"
