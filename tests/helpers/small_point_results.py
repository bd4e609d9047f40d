"""Measurements of points as the evaluation leaves them, with made-up numbers."""

from __future__ import annotations

from pipeline.metrics.point_row import PointRow
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.report.points.results import ModelResult


def point_row(model: str, solver: str, num_steps: int | None, nfe: int | None, distance: float = 0.1) -> PointRow:
    return PointRow(
        model=model, solver=solver, num_steps=num_steps, nfe=nfe, sliced_wasserstein=distance,
        sliced_wasserstein_floor=0.05, energy_distance=0.1, inside_share=0.5, num_samples=300, num_projections=8,
        seed=0, seconds_per_1000=None,
    )  # fmt: skip


def point_model(name: str) -> ModelResult:
    """Two step counts of one solver, and an adaptive one."""
    cells = (("euler", 1, 1), ("euler", 2, 2), ("dopri5-0.001", None, 56))
    return ModelResult(
        model=name,
        rows=tuple(point_row(name, *cell, distance=0.1 * cell[2]) for cell in cells),
        trajectories=TrajectoryRecord(0.25, 0.1, 0.5, 1.0, 0.2, 0.3, num_samples=300, num_steps=8, seed=0),
        field_error=None,
        device="1 x CPU",
        precision="fp32",
    )
