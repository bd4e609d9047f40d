"""Sample images of every model and step count, all from the same noise, and their mosaics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import StraightflowError
from pipeline.report.reading import load_arrays


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


def mosaic(images: np.ndarray, columns: int, *, scale: int = 1, gap: int = 0, gap_value: int = 0) -> np.ndarray:
    """Lays images out row by row.

    Args:
        images: uint8, (num, channels, height, width) with 1 or 3 channels.
        columns: Images in a row.
        scale: Each pixel becomes ``scale`` × ``scale`` equal ones.
        gap: Pixels between neighbours.
        gap_value: Grey value of gaps and of places without an image.

    Returns:
        uint8, (rows · (height · scale + gap) - gap, columns · (width · scale + gap) - gap, 3).
    """
    colour = np.broadcast_to(images, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1)
    tiles = colour.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = tiles.shape[1] + gap, tiles.shape[2] + gap
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * height, columns * width, 3), gap_value, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height - gap, left : left + width - gap] = tile
    return canvas[: rows * height - gap, : columns * width - gap]


def _load_model(path: Path, model: str) -> list[SampleCell]:
    arrays, cells = load_arrays(path), []
    try:
        for key, images in arrays.items():
            solver, steps = key.split("/")
            cells.append(SampleCell(model, solver, None if steps == "adaptive" else int(steps), images))
    except ValueError as error:
        raise StraightflowError(
            expected=f"sample grids keyed <solver>/<num_steps> in {path}",
            found=str(error),
            mend=f"run `dvc repro evaluate@{model}`",
        ) from error
    return sorted(cells, key=lambda cell: (cell.solver, cell.num_steps or 0))
