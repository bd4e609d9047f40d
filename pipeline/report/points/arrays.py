"""Points of a model's cells and the geometry of its trajectories, read back as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.metrics.point_row import PointRow
from pipeline.metrics.row import require_cells_of
from pipeline.report.reading import load_samples_of, unreadable

_OTHERS = ("times", "trajectories", "positions", "field")


def load_point_arrays(path: Path, model: str, rows: Sequence[PointRow]) -> dict[str, np.ndarray]:
    """Arrays of ``samples/<model>.safetensors``, see :meth:`pipeline.evaluation.points.PointMeasure.evaluate`.

    Args:
        path: The file.
        model: The model.
        rows: Its measured cells, each of which has as many points in the file as it says.

    Raises:
        StraightflowError: If the file is missing, damaged, of another model, or of other cells.
    """
    arrays = load_samples_of(path, model)
    try:
        require_cells_of(rows, [name for name in arrays if name not in _OTHERS])
        _require_geometry(arrays)
        dim = arrays["trajectories"].shape[2]
        for row in rows:
            _require_shape(arrays, row.samples_key, (row.num_samples, dim))
    except ValueError as error:
        raise unreadable(path, error) from error
    return arrays


def _require_geometry(arrays: Mapping[str, np.ndarray]) -> None:
    """ValueError unless times rise, and trajectories and the velocity field are of these times."""
    absent = [name for name in _OTHERS[:2] if name not in arrays]
    if absent:
        raise ValueError(f"no {' and no '.join(absent)}")
    times, trajectories = arrays["times"], arrays["trajectories"]
    if times.ndim != 1 or len(times) < 2 or not (np.diff(times) > 0).all() or times[0] < 0 or times[-1] > 1:
        raise ValueError(f"times of shape {times.shape} that do not rise within [0, 1]")
    if trajectories.ndim != 3 or 0 in trajectories.shape:
        raise ValueError(f"trajectories of shape {trajectories.shape}, which is not (num, {len(times)}, dim)")
    _require_shape(arrays, "trajectories", (len(trajectories), len(times), trajectories.shape[2]))
    if trajectories.shape[2] == 1:
        num = math.prod(arrays["positions"].shape) if "positions" in arrays else 0
        _require_shape(arrays, "positions", (num,))
        _require_shape(arrays, "field", (len(times), num))


def _require_shape(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> None:
    values = arrays.get(name)
    if values is None or values.shape != shape or values.dtype != np.float32:
        found = "nothing" if values is None else f"{values.dtype} of shape {values.shape}"
        raise ValueError(f"{found} as {name}, where float32 of shape {shape} was measured")
