"""Measurements of a run on points, read back into typed, frozen form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.config.section import ModelName
from pipeline.couplings.check_record import CouplingsCheck
from pipeline.metrics.field_measures import FieldMeasures
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.report.owners import require_couplings, require_model
from pipeline.report.points.arrays import load_point_arrays
from pipeline.report.reading import load_json
from pipeline.system.compute import Compute
from pipeline.system.typed_content import NO_OTHER_KEYS


@dataclass(frozen=True)
class ModelResult:
    """Content of ``metrics/evaluate/<model>.json``.

    Attributes:
        model: Name of the model.
        rows: Its cells, one for each solver and step count.
        trajectories: Measures of its trajectories.
        field_error: Error against the closed form; None if the model's target has none.
        device: Where it was measured.
        precision: Autocast type of network calls.
        compute: What measuring took; None in results of older versions. The report's ledger reads it.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    model: ModelName
    rows: tuple[PointRow, ...]
    trajectories: TrajectoryRecord
    field_error: FieldMeasures | None
    device: Annotated[str, Field(min_length=1)]
    precision: Literal["fp32", "bf16"]
    compute: Compute | None = None


@dataclass(frozen=True, kw_only=True)
class CouplingsResult(CouplingsCheck):
    """Content of ``couplings/<round>/quality.json``.

    Attributes:
        row: The cell of the couplings, with their distances.
        source: Model whose ODE made them.
    """

    rows: tuple[PointRow, ...]
    source: ModelName


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
    measured = tuple(_load_model(root / f"metrics/evaluate/{name}.json", name) for name in models)
    return Results(
        couplings=tuple(
            row for name in rounds for row in _load_couplings(root / f"couplings/{name}/quality.json", name).rows
        ),
        models=measured,
        arrays={
            result.model: load_point_arrays(root / f"samples/{result.model}.safetensors", result.model, result.rows)
            for result in measured
        },
    )


def _load_model(path: Path, name: str) -> ModelResult:
    result = load_json(path, ModelResult)
    require_model(result.model, result.rows, str(path), name)
    return result


def _load_couplings(path: Path, name: str) -> CouplingsResult:
    result = load_json(path, CouplingsResult)
    require_couplings(result.rows, result.num_pairs, str(path), name)
    return result
