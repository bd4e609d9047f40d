"""Measurements of a run on points, read back into typed, frozen form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.metrics.field_measures import FieldMeasures
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.report.few_step_csv import require_cells
from pipeline.report.reading import load_arrays, load_json


@dataclass(frozen=True)
class ModelResult:
    """Content of ``metrics/evaluate/<model>.json``.

    Attributes:
        model: Name of the model.
        rows: Its cells, one for each solver and step count.
        trajectories: Measures of its trajectories.
        field_error: Error against the closed form; None if the model's target has none.
    """

    model: str
    rows: tuple[PointRow, ...]
    trajectories: TrajectoryRecord
    field_error: FieldMeasures | None


@dataclass(frozen=True)
class CouplingsResult:
    """Content of ``couplings/<round>/quality.json`` that the report shows."""

    rows: tuple[PointRow, ...]


@dataclass(frozen=True)
class Results:
    """Everything measured in one run.

    Attributes:
        couplings: Cells of the couplings, by round.
        models: Measured models, in the configured order.
        arrays: By model, content of ``samples/<model>.safetensors``; see
            :meth:`pipeline.evaluation.points.PointMeasure.evaluate`.
    """

    couplings: tuple[PointRow, ...]
    models: tuple[ModelResult, ...]
    arrays: Mapping[str, Mapping[str, np.ndarray]]

    @property
    def rows(self) -> tuple[PointRow, ...]:
        """Every measured cell: the couplings' first, then each model's in order."""
        return self.couplings + tuple(row for model in self.models for row in model.rows)


def load_results(root: Path, models: Sequence[str], rounds: Sequence[str]) -> Results:
    """Reads the outputs of a run below ``root``.

    Args:
        root: The project's folder.
        models: Measured models, in the order of tables and figures.
        rounds: Names of the rounds.

    Raises:
        StraightflowError: If one is missing or not what its stage writes.
    """
    return Results(
        couplings=tuple(
            row for name in rounds for row in load_json(root / f"couplings/{name}/quality.json", CouplingsResult).rows
        ),
        models=tuple(_load_model(root / f"metrics/evaluate/{name}.json", name) for name in models),
        arrays={name: load_arrays(root / f"samples/{name}.safetensors") for name in models},
    )


def _load_model(path: Path, name: str) -> ModelResult:
    result = load_json(path, ModelResult)
    require_cells(result.rows, str(path), model=name)
    return result
