"""What a run on points measured, read back into typed, frozen form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.graph import Config
from pipeline.metrics.field_measures import FieldMeasures
from pipeline.metrics.point_row import PointRow
from pipeline.report.images.results import TrajectoryResult
from pipeline.report.reading import load_arrays, load_json


@dataclass(frozen=True)
class PointModelResult:
    """Content of ``metrics/evaluate/<model>.json``.

    Attributes:
        model: Name of the model.
        rows: Its cells, one for each solver and step count.
        trajectories: The shape of its trajectories.
        field_error: Against the closed form, where the model's target has one; None for others.
    """

    model: str
    rows: tuple[PointRow, ...]
    trajectories: TrajectoryResult
    field_error: FieldMeasures | None


@dataclass(frozen=True)
class PointCouplingsResult:
    """Content of ``couplings/<round>/quality.json`` that the report shows."""

    row: PointRow


@dataclass(frozen=True)
class PointResults:
    """Everything that a run on points measured.

    Attributes:
        couplings: Cells of the couplings, by round.
        models: Measured models, in the configured order.
        arrays: By model, content of ``samples/<model>.safetensors``; see
            :func:`pipeline.evaluation.points.evaluate_points`.
    """

    couplings: tuple[PointRow, ...]
    models: tuple[PointModelResult, ...]
    arrays: Mapping[str, Mapping[str, np.ndarray]]

    @property
    def rows(self) -> tuple[PointRow, ...]:
        """Every measured cell: the couplings' first, then each model's in order."""
        return self.couplings + tuple(row for model in self.models for row in model.rows)


def load_point_results(root: Path, config: Config) -> PointResults:
    """Reads the outputs of a run below ``root``.

    Raises:
        StraightflowError: If one is missing or not what its stage writes.
    """
    names = config.evaluate.models
    return PointResults(
        couplings=tuple(
            load_json(root / f"couplings/{name}/quality.json", PointCouplingsResult).row for name in config.rounds
        ),
        models=tuple(load_json(root / f"metrics/evaluate/{name}.json", PointModelResult) for name in names),
        arrays={name: load_arrays(root / f"samples/{name}.safetensors") for name in names},
    )


def summarise(results: PointResults) -> dict[str, float]:
    """The few numbers a run is judged by, as one flat mapping.

    A cell is called ``<model>_<num_steps>``, of an adaptive solver ``<model>_<solver>``; of several solvers with as
    many steps, the first is taken.
    """
    numbers: dict[str, float] = {"sliced_wasserstein_floor": results.rows[-1].sliced_wasserstein_floor}
    for model in results.models:
        for row in model.rows:
            cell = f"{row.model}_{row.num_steps or row.solver}"
            numbers.setdefault(f"{cell}_sliced_wasserstein", row.sliced_wasserstein)
            if row.inside_share is not None:
                numbers.setdefault(f"{cell}_inside_share", row.inside_share)
    for model in results.models:
        numbers[f"straightness_{model.model}"] = model.trajectories.straightness
        if model.field_error is not None:
            numbers[f"velocity_error_{model.model}"] = model.field_error.velocity_error
            numbers[f"log_likelihood_error_{model.model}"] = model.field_error.log_likelihood_error
    return numbers
