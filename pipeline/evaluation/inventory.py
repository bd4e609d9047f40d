"""Which cached references and cells a run reads, for whoever asks what of the cache is still needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.config.class_measuring import solver_shown
from pipeline.config.graph import Config
from pipeline.config.solver import TEACHER_SOLVERS
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.cache_names import (
    Machine,
    cell_inputs,
    cell_name,
    classes_name,
    drawn_name,
    reference_name,
    trajectories_name,
)
from pipeline.evaluation.reference import feature_counts
from pipeline.metrics.features import FeatureExtractor
from pipeline.system.file_hashes import HASHES

_NAME = re.compile(r"^[A-Za-z0-9_.-]+-[0-9a-f]{16}$")


def cached_results(folder: Path) -> list[Path]:
    """Folders of finished results in a cache, by name; other files and folders are left out."""
    return sorted(item for item in folder.glob("*") if _NAME.match(item.name) and (item / HASHES).is_file())


def reference_names(
    config: Config, train: SampleSet, heldout: SampleSet, extractor: FeatureExtractor, code: Mapping[str, str]
) -> dict[str, str]:
    """Names of the references by one kind of features, by split; both are read, whichever is the reference."""
    counts = feature_counts(config.evaluate)
    return {
        split: reference_name(split, images.fingerprint, extractor, counts, code)
        for split, images in (("train", train), ("heldout", heldout))
    }


def cell_names(
    config: Config,
    model: str,
    fingerprint: str,
    references: Sequence[tuple[FeatureExtractor, str]],
    code: Mapping[str, str],
    machine: Machine,
) -> Iterator[str]:
    """Names of a model's cells, of the measures of its trajectories and of its classes, and of the trajectories drawn.

    Args:
        config: Of the run.
        model: Its name.
        fingerprint: Of its folder.
        references: Each kind of features, with the name of its reference.
        code: Hashes of the code that measures.
        machine: Where it is measured.
    """
    inputs = cell_inputs(fingerprint, machine, references, config.evaluate, code)
    for solver, num_samples in config.cells_of(model):
        yield cell_name(inputs, solver, num_samples)
    yield trajectories_name(fingerprint, machine, config.evaluate, code)
    solvers = [solver for solver, _ in config.cells_of(model)]
    shown = solver_shown(solvers, diffusion=config.solvers_of(model) == TEACHER_SOLVERS)
    yield classes_name(inputs, shown, config.evaluate)
    yield drawn_name(fingerprint, machine, config.drawn_of(model), config.evaluate.seed, code)
