"""Sample images of every model and step count, all from the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.trajectory_arrays import is_of_trajectory
from pipeline.metrics.class_measures import CLASS_GRID
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.row import parse_samples_key, require_cells_of, samples_key
from pipeline.report.images.results import Results
from pipeline.report.reading import load_samples_of, unreadable
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class SampleCell:
    """Images of one model, solver and step count.

    Attributes:
        model: Name of the model.
        solver: Solver of the ODE.
        num_steps: Steps of the solver; None for an adaptive one.
        images: uint8, (num, channels, height, width); index i comes from the same noise in every cell.
    """

    model: str
    solver: str
    num_steps: int | None
    images: np.ndarray


def load_samples(root: Path, models: Sequence[str]) -> tuple[SampleCell, ...]:
    """Reads ``samples/<model>.safetensors`` of each model: cells by model, then solver, then step count.

    Raises:
        StraightflowError: If a file is missing or damaged, or the cells are not all of one shape.
    """
    cells = [cell for model in models for cell in _load_model(root / f"samples/{model}.safetensors", model)]
    shapes = {cell.images.shape for cell in cells}
    if len(shapes) != 1:
        raise StraightflowError(
            expected="sample grids of one shape for all models",
            found=", ".join(map(str, sorted(shapes))) or "no samples",
            mend="run `dvc repro`, which measures every model with the same settings",
        )
    return tuple(cells)


def require_samples_of(results: Results, cells: Sequence[SampleCell], root: Path) -> None:
    """Checks that ``cells`` are of the measured cells, and of the size of the real images.

    Raises:
        StraightflowError: Naming the file that is of others.
    """
    data = results.data
    for model in results.models:
        own = [cell for cell in cells if cell.model == model.model]
        require_measured(own, model.rows, root)
        try:
            for cell in own:
                shape = cell.images.shape[1:]
                if shape != data.sample_shape:
                    raise ValueError(f"images of shape {shape}, where the data have {data.sample_shape}")
        except ValueError as error:
            raise unreadable(root / f"samples/{model.model}.safetensors", error) from error


def require_measured(cells: Sequence[SampleCell], rows: Sequence[ImageRow], root: Path) -> None:
    """Checks that ``cells`` of one model are those of its measured ``rows``, at least one, and no others.

    Raises:
        StraightflowError: Naming the file below ``root`` that is of others.
    """
    try:
        require_cells_of(rows, [samples_key(cell.solver, cell.num_steps) for cell in cells])
    except ValueError as error:
        raise unreadable(root / f"samples/{rows[0].model}.safetensors", error) from error


def _load_model(path: Path, model: str) -> list[SampleCell]:
    arrays, cells = load_samples_of(path, model), []
    try:
        for key, images in arrays.items():
            if key == CLASS_GRID or is_of_trajectory(key):
                continue  # pipeline.report.images.by_class and trajectories read them
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
                raise ValueError(f"{images.dtype} of shape {images.shape} as {key}, which are no pictures")
            cells.append(SampleCell(model, *parse_samples_key(key), images))
    except ValueError as error:
        raise StraightflowError(
            expected=f"sample grids keyed <solver>/<num_steps> in {path}",
            found=str(error),
            mend=f"run `dvc repro evaluate@{model}`",
        ) from error
    return sorted(cells, key=lambda cell: (cell.solver, cell.num_steps or 0))
