"""Names of the cached references and cells that a run reads, for whoever asks which of the cache it still needs.

They are those that :mod:`pipeline.evaluation.reference`, :mod:`pipeline.evaluation.sweep` and
:mod:`pipeline.evaluation.images` cache under; a test measures a model with these and compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.kept import HASHES
from pipeline.evaluation.reference import feature_counts
from pipeline.metrics.features import FeatureExtractor
from pipeline.system.fingerprint import fingerprint_json

_NAME = re.compile(r"^[A-Za-z0-9_.-]+-[0-9a-f]{16}$")


@dataclass(frozen=True)
class Machine:
    """What a cell depends on besides files and settings: type of the device, and autocast type of network calls."""

    device: str
    precision: str


def cached_results(folder: Path) -> list[Path]:
    """Folders of finished results in a cache, by name; other files and folders are left out."""
    return sorted(item for item in folder.glob("*") if _NAME.match(item.name) and (item / HASHES).is_file())


def reference_names(
    config: Config, train: SampleSet, heldout: SampleSet, extractor: FeatureExtractor, code: Mapping[str, str]
) -> dict[str, str]:
    """Names of the references by one kind of features, by split; both are read, whichever is the reference."""
    counts = list(feature_counts(config.evaluate))
    return {
        split: f"{split}-" + fingerprint_json(
            [images.fingerprint, split, extractor.name, extractor.fingerprint, counts, dict(code)]
        )[:16]
        for split, images in (("train", train), ("heldout", heldout))
    }  # fmt: skip


def cell_names(
    config: Config,
    model: str,
    fingerprint: str,
    references: Sequence[tuple[FeatureExtractor, str]],
    code: Mapping[str, str],
    machine: Machine,
) -> Iterator[str]:
    """Names of a model's cells and of the measures of its trajectories.

    Args:
        config: Of the run.
        model: Its name.
        fingerprint: Of its folder.
        references: Each kind of features, with the name of its reference.
        code: Hashes of the code that measures.
        machine: Where it is measured.
    """
    evaluate = config.evaluate
    measured_by = [[extractor.name, extractor.fingerprint, name] for extractor, name in references]
    of_model = [
        dict(code),
        fingerprint,
        machine.precision,
        machine.device,
        measured_by,
        [evaluate.seed, evaluate.num_samples, evaluate.batch_size, evaluate.grid_images],
        [evaluate.neighbours.model_dump(), evaluate.kernel_distance.model_dump()],
    ]
    for solver, num_samples in config.cells_of(model):
        inputs = [of_model, solver.model_dump(mode="json"), num_samples]
        yield f"{solver.label}-{solver.num_steps}-{fingerprint_json(inputs)[:16]}"
    straightness = evaluate.straightness.model_dump(mode="json")
    trajectories = [fingerprint, machine.precision, machine.device, evaluate.seed, straightness]
    yield f"trajectories-{fingerprint_json([trajectories, dict(code)])[:16]}"
