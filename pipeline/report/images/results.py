"""Measurements of a run on images, read back into typed, frozen form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.graph import DISTILLED, TEACHER
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.report.few_step_csv import require_cells
from pipeline.report.reading import load_csv, load_json


@dataclass(frozen=True)
class ModelResult:
    """Content of ``metrics/evaluate/<model>.json``.

    Attributes:
        model: Name of the model.
        rows: Its cells, one for each solver and step count.
        trajectories: Measures of its trajectories.
        device: Where it was measured.
        precision: Autocast type of network calls.
    """

    model: str
    rows: tuple[ImageRow, ...]
    trajectories: TrajectoryRecord
    device: str
    precision: str


@dataclass(frozen=True)
class CouplingsResult:
    """Content of ``couplings/<round>/quality.json``.

    Attributes:
        row: The cell of the couplings, with their FID.
        transport_cost_per_dim: Mean of (x_1 - x_0)² over pairs and dimensions.
        num_pairs: Pairs in the store.
        source: Model whose ODE made them.
        clipped_fraction: Share of values clearly outside [-1, 1] before storing, in [0, 1]; None if not recorded.
        num_dropped: Pairs left out by the pair filter.
        reintegration_error: Mean ‖x̂_1 - x_1‖/‖x_1‖ of pairs sampled again from their noise; None if not recorded.
        inversion_error: The same for pairs made from images.
    """

    row: ImageRow
    transport_cost_per_dim: float
    num_pairs: int
    source: str
    clipped_fraction: float | None = None
    num_dropped: int = 0
    reintegration_error: float | None = None
    inversion_error: float | None = None


@dataclass(frozen=True)
class DataResult:
    """The part of ``data/images/info.json`` that the report shows."""

    source: str
    location: str | None
    resolution: int
    channels: int
    num_train: int
    num_heldout: int


@dataclass(frozen=True)
class LossPoint:
    """One point of a learning curve."""

    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class TrainedFeatures:
    """A network that was trained for its features: their name, and the share of held-out images it predicts rightly."""

    features: str
    accuracy_heldout: float


@dataclass(frozen=True)
class ClassifierResult:
    """Content of ``metrics/classifier.json``; None where no network was trained for that role."""

    first: TrainedFeatures | None = None
    judge: TrainedFeatures | None = None


@dataclass(frozen=True)
class Results:
    """Everything measured in one run.

    Attributes:
        models: Measured models, in the configured order.
        couplings: Measured couplings, by round.
        losses: Learning curves by model, only of models that were trained in this run.
        data: The real images.
        classifier: The networks that were trained for their features.
    """

    models: tuple[ModelResult, ...]
    couplings: dict[str, CouplingsResult]
    losses: dict[str, tuple[LossPoint, ...]]
    data: DataResult
    classifier: ClassifierResult

    @property
    def rows(self) -> tuple[ImageRow, ...]:
        """Every measured cell: the couplings' first, then each model's in order."""
        couplings = tuple(item.row for item in self.couplings.values())
        return couplings + tuple(row for model in self.models for row in model.rows)


def load_results(root: Path, models: Sequence[str], rounds: Sequence[str]) -> Results:
    """Reads the outputs of a run below ``root``.

    Args:
        root: The project's folder.
        models: Measured models, in the order of tables and figures.
        rounds: Names of the rounds.

    Raises:
        StraightflowError: If a file is missing or does not hold what its stage writes.
    """
    curves = {name: _load_losses(root / f"metrics/training/{name}.csv") for name in (TEACHER, *rounds, DISTILLED)}
    return Results(
        models=tuple(_load_model(root / f"metrics/evaluate/{name}.json", name) for name in models),
        couplings={name: load_json(root / f"couplings/{name}/quality.json", CouplingsResult) for name in rounds},
        losses={name: curve for name, curve in curves.items() if curve},
        data=load_json(root / "data/images/info.json", DataResult),
        classifier=load_json(root / "metrics/classifier.json", ClassifierResult),
    )


def _load_model(path: Path, name: str) -> ModelResult:
    result = load_json(path, ModelResult)
    require_cells(result.rows, str(path), model=name)
    return result


def _load_losses(path: Path) -> tuple[LossPoint, ...]:
    return load_csv(path, LossPoint) if path.is_file() else ()
