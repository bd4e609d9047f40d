"""What the other stages measured, read back into typed, frozen form."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.atomic import atomic_file
from pipeline.config import DISTILLED, TEACHER
from pipeline.errors import StraightflowError
from pipeline.metrics.row import COLUMNS, Row
from pipeline.metrics.trajectories import TrajectoryMeasures

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class TrajectoryResult(TrajectoryMeasures):
    """Measures of trajectories, and what they were taken from.

    Attributes:
        num_samples: Trajectories integrated.
        num_steps: Euler steps of each.
        seed: Seed of their noise.
    """

    num_samples: int
    num_steps: int
    seed: int


@dataclass(frozen=True)
class ModelResult:
    """Content of ``metrics/evaluate/<model>.json``.

    Attributes:
        model: Name of the model.
        rows: Its cells, one for each solver and step count.
        trajectories: The shape of its trajectories.
        device: Where it was measured.
        precision: Autocast type of network calls.
    """

    model: str
    rows: tuple[Row, ...]
    trajectories: TrajectoryResult
    device: str
    precision: str


@dataclass(frozen=True)
class CouplingsResult:
    """Content of ``couplings/<round>/quality.json``.

    Attributes:
        row: The couplings' own FID.
        transport_cost_per_dim: Mean of (x_1 - x_0)² over pairs and dimensions.
        num_pairs: Pairs in the store.
        source: Model whose ODE made them.
        clipped_fraction: Share of values clearly outside [-1, 1] before storing, in [0, 1], where recorded.
        num_dropped: Pairs left out by the pair filter.
        reintegration_error: Mean ‖x̂_1 - x_1‖/‖x_1‖ of pairs drawn anew from their noise, where recorded.
        inversion_error: The same of pairs made from images.
    """

    row: Row
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
    """One line of a training curve."""

    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class ClassifierResult:
    """Content of ``metrics/classifier.json``; the accuracy is None where no classifier was trained."""

    accuracy_heldout: float | None = None


@dataclass(frozen=True)
class Results:
    """Everything measured in one run.

    Attributes:
        models: Measured models, in the configured order.
        couplings: By round.
        losses: Training curves by model, without those of models that were not trained here.
        data: The real images.
        classifier: The network behind ``classifier`` features.
    """

    models: tuple[ModelResult, ...]
    couplings: dict[str, CouplingsResult]
    losses: dict[str, tuple[LossPoint, ...]]
    data: DataResult
    classifier: ClassifierResult


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
        models=tuple(_load(root / f"metrics/evaluate/{name}.json", ModelResult) for name in models),
        couplings={name: _load(root / f"couplings/{name}/quality.json", CouplingsResult) for name in rounds},
        losses={name: curve for name, curve in curves.items() if curve},
        data=_load(root / "data/images/info.json", DataResult),
        classifier=_load(root / "metrics/classifier.json", ClassifierResult),
    )


def few_step_rows(results: Results) -> tuple[Row, ...]:
    """Every measured cell: the couplings' first, then each model's in order."""
    couplings = tuple(couplings.row for couplings in results.couplings.values())
    return couplings + tuple(row for model in results.models for row in model.rows)


def write_few_step_csv(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as CSV with the columns ``COLUMNS``, atomically; None becomes an empty field."""
    with atomic_file(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(asdict(row) | {"nfe": None if row.nfe is None else f"{row.nfe:g}"} for row in rows)


def read_few_step_csv(path: Path) -> tuple[Row, ...]:
    """Reads rows written by :func:`write_few_step_csv`; the same errors as :func:`load_results`."""
    return _load_csv(path, Row)


def parse_few_step_csv(text: str, origin: str) -> tuple[Row, ...]:
    """Reads the text of a table; ``origin`` names it in errors."""
    try:
        return _parse_csv(text, Row)
    except ValueError as error:
        raise _unreadable(origin, error) from error


def _load_losses(path: Path) -> tuple[LossPoint, ...]:
    return _load_csv(path, LossPoint) if path.is_file() else ()


def _load(path: Path, kind: type[Loaded]) -> Loaded:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _load_csv(path: Path, kind: type[Loaded]) -> tuple[Loaded, ...]:
    try:
        return _parse_csv(path.read_text(), kind)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _parse_csv(text: str, kind: type[Loaded]) -> tuple[Loaded, ...]:
    lines: list[dict[str, Any]] = [
        {key: value or None for key, value in line.items()} for line in csv.DictReader(io.StringIO(text))
    ]
    return TypeAdapter(tuple[kind, ...]).validate_python(lines)  # type: ignore[valid-type]


def _unreadable(path: Path | str, error: Exception) -> StraightflowError:
    found = str(error)
    if isinstance(error, ValidationError):
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return StraightflowError(
        expected=f"{path} as its stage writes it", found=found, mend="run `dvc repro`, which writes it again"
    )
