"""Measurements of a run on images, read back into typed, frozen form."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.data import IMAGE_SOURCES, Resolution
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.section import ModelName, NonNegativeFloat, PositiveInt, UnitFloat, one_of
from pipeline.couplings.check_record import CouplingsCheck
from pipeline.data.info import Channels, DataInfo
from pipeline.evaluation.drift import Drift, measure_drift
from pipeline.metrics.class_measures import ClassRecord
from pipeline.metrics.image_row import TRAINED_HERE, FeaturesName, ImageRow
from pipeline.metrics.reconstruction_measures import ReconstructionQuality
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.report.owners import require_couplings, require_model
from pipeline.report.reading import load_csv, load_json, unreadable
from pipeline.system.compute import Compute
from pipeline.system.typed_content import NO_OTHER_KEYS


@dataclass(frozen=True)
class ModelResult:
    """Content of ``metrics/evaluate/<model>.json``.

    Attributes:
        model: Name of the model.
        rows: Its cells: for each solver and step count one by each kind of features and number of samples.
        trajectories: Measures of its trajectories.
        device: Where it was measured.
        precision: Autocast type of network calls.
        compute: What measuring took; None in results of older versions. The report's ledger reads it.
        classes: Its classes one by one; None of an unconditional model.
        decoding: What an autoencoder took besides; None of a model of pixels. The report's ledger reads it.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    model: ModelName
    rows: tuple[ImageRow, ...]
    trajectories: TrajectoryRecord
    device: Annotated[str, Field(min_length=1)]
    precision: Literal["fp32", "bf16"]
    compute: Compute | None = None
    classes: ClassRecord | None = None
    decoding: Compute | None = None


@dataclass(frozen=True, kw_only=True)
class CouplingsResult(CouplingsCheck):
    """Content of ``couplings/<name>/quality.json``.

    Attributes:
        rows: The cell of the couplings, by each kind of features and number of samples.
        source: Model whose ODE made them.
        decoding: As in :class:`ModelResult`.
    """

    rows: tuple[ImageRow, ...]
    source: ModelName
    decoding: Compute | None = None


@dataclass(frozen=True, kw_only=True)
class DataResult(DataInfo):
    """Content of ``data/images/info.json`` of images."""

    source: Annotated[str, one_of(IMAGE_SOURCES)]
    resolution: Resolution
    channels: Channels
    num_train: PositiveInt
    num_heldout: PositiveInt


@dataclass(frozen=True)
class LossPoint:
    """One point of a learning curve: the columns of ``metrics/training/<model>.csv`` that the report shows."""

    step: PositiveInt
    loss: NonNegativeFloat
    learning_rate: NonNegativeFloat


@dataclass(frozen=True)
class TrainedFeatures:
    """A network that was trained for its features: their name, and the share of held-out images it predicts rightly."""

    __pydantic_config__ = NO_OTHER_KEYS

    features: FeaturesName
    accuracy_heldout: UnitFloat


@dataclass(frozen=True)
class ClassifierResult:
    """Content of ``metrics/classifier.json``; None where no network was trained for that role."""

    __pydantic_config__ = NO_OTHER_KEYS

    first: TrainedFeatures | None = None
    judge: TrainedFeatures | None = None


@dataclass(frozen=True)
class Results:
    """Everything measured in one run.

    Attributes:
        models: Measured models, in the configured order.
        couplings: Measured couplings, by name.
        losses: Learning curves by model, only of models that were trained in this run.
        data: The real images.
        classifier: The networks that were trained for their features.
        reconstruction: What the autoencoder gives back of held-out images; None where it was not measured.
    """

    models: tuple[ModelResult, ...]
    couplings: dict[str, CouplingsResult]
    losses: dict[str, tuple[LossPoint, ...]]
    data: DataResult
    classifier: ClassifierResult
    reconstruction: ReconstructionQuality | None = None

    def drift(self, name: str, before: str | None) -> Drift | None:
        """Drift of the couplings ``name`` from those of the round ``before``; None if there is none."""
        return None if before is None else measure_drift(self.couplings[name].rows, self.couplings[before].rows)

    def decoding_per_1000(self, name: str) -> float:
        """Seconds in which 1,000 latents of the model ``name`` were decoded; 0 if none were, or it is not measured."""
        found = next((item.decoding for item in self.models if item.model == name), None)
        return 0.0 if found is None or not found.samples_forward else 1000 * found.seconds / found.samples_forward

    @property
    def rows(self) -> tuple[ImageRow, ...]:
        """Every measured cell: the couplings' first, then each model's in order."""
        couplings = tuple(row for item in self.couplings.values() for row in item.rows)
        return couplings + tuple(row for model in self.models for row in model.rows)


def load_results(
    root: Path,
    models: Sequence[str],
    couplings: Sequence[str],
    students: Sequence[str],
    *,
    reconstruction: bool = False,
) -> Results:
    """Reads the outputs of a run below ``root``.

    Args:
        root: The project's folder.
        models: Measured models, in the order of tables and figures.
        couplings: Names of the couplings.
        students: Names of the students, whose learning curves are read with the teacher's.
        reconstruction: Whether the autoencoder's reconstructions were measured.

    Raises:
        StraightflowError: If a file is missing or does not hold what its stage writes.
    """
    curves = {name: _load_losses(root / f"metrics/training/{name}.csv") for name in (TEACHER, *students)}
    results = Results(
        models=tuple(_load_model(root / f"metrics/evaluate/{name}.json", name) for name in models),
        couplings={name: _load_couplings(root / f"couplings/{name}/quality.json", name) for name in couplings},
        losses={name: curve for name, curve in curves.items() if curve},
        data=load_json(root / "data/images/info.json", DataResult),
        classifier=load_json(root / "metrics/classifier.json", ClassifierResult),
        reconstruction=(
            load_json(root / f"metrics/evaluate/{AUTOENCODER}.json", ReconstructionQuality) if reconstruction else None
        ),
    )
    _require_networks_of(results, root / "metrics/classifier.json")
    return results


def _require_networks_of(results: Results, path: Path) -> None:
    """Checks that networks are recorded for the features, trained here, that rows were measured with."""
    recorded = {item.features for item in (results.classifier.first, results.classifier.judge) if item is not None}
    trained = {row.features for row in results.rows if row.features.partition("-")[0] in TRAINED_HERE}
    unknown = sorted(trained - recorded)
    if unknown:
        raise unreadable(path, ValueError(f"features: no {unknown[0]}, which rows were measured with"))


def _load_model(path: Path, name: str) -> ModelResult:
    result = load_json(path, ModelResult)
    require_model(result.model, result.rows, str(path), name)
    return result


def _load_couplings(path: Path, name: str) -> CouplingsResult:
    result = load_json(path, CouplingsResult)
    require_couplings(result.rows, result.num_pairs, str(path), name)
    return result


def _load_losses(path: Path) -> tuple[LossPoint, ...]:
    """The curve at ``path``, which has no points for a pretrained teacher."""
    curve = load_csv(path, LossPoint)
    if not curve and path.stem != TEACHER:
        raise unreadable(path, ValueError("no lines"))
    steps = [point.step for point in curve]
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise unreadable(path, ValueError("step: a number that is not above that of the line before"))
    return curve
