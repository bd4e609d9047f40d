"""Cache of measured cells (model × solver × step count); a cell is measured again when its inputs change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from pipeline.config.section import NonNegativeFloat
from pipeline.config.solver import SolverConfig
from pipeline.evaluation.cache_names import cell_name
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.evaluation.quality import Quality
from pipeline.metrics.row import ADAPTIVE
from pipeline.system.array_files import read_arrays
from pipeline.system.atomic import write_json
from pipeline.system.compute import Compute
from pipeline.system.typed_content import NO_OTHER_KEYS, read_typed, require_possible

RESULT, IMAGES = "result.json", "images.safetensors"


@dataclass(frozen=True)
class Cell:
    """What is measured: a solver with its step count, from the first ``num_samples`` noises."""

    solver: SolverConfig
    num_samples: int


@dataclass(frozen=True)
class CellResult:
    """A measured cell; time, network calls and memory as in :class:`pipeline.metrics.image_row.ImageRow`.

    Attributes:
        compute: Of its sampling, over all processes.
        decoding: Of its autoencoder, over all processes; nothing where samples are images.
        qualities: Metrics by each reference, in order; of chunks, and of all samples at once where these are several.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    qualities: tuple[tuple[Quality, ...], ...]
    nfe: NonNegativeFloat
    nfe_std: NonNegativeFloat
    seconds_per_1000: NonNegativeFloat
    peak_memory_mib: NonNegativeFloat | None
    compute: Compute
    decoding: Compute


class CellCache:
    """Measured cells of one model, cached in a folder.

    Args:
        folder: Folder of the cache; may be shared by several models.
        inputs: Everything besides the cell that a result depends on, from
            :func:`pipeline.evaluation.cache_names.cell_inputs`.
    """

    def __init__(self, folder: Path, inputs: list[Any]) -> None:
        self._folder = folder
        self._inputs = inputs

    def load(self, cell: Cell) -> tuple[CellResult, np.ndarray] | None:
        """A cell's result and its first images, uint8, (num, C, H, W); None if it was not measured.

        Its hashes are those of :meth:`has`.
        """
        place = self._place(cell)
        return _read(place) if (place / RESULT).is_file() else None

    def has(self, cell: Cell) -> bool:
        """Whether the cell was measured, and what was kept is unchanged."""
        return is_kept(self._place(cell), _read)

    def save(self, cell: Cell, result: CellResult, images: np.ndarray) -> None:
        """Writes a result and its first images, atomically.

        Raises:
            StraightflowError: If a number of the result cannot be.
        """
        require_possible(result, f"the measures of {cell.solver.label} at {cell.solver.num_steps or ADAPTIVE} steps")
        with keeping(self._place(cell)) as temporary:
            save_file({"images": np.ascontiguousarray(images)}, temporary / IMAGES)
            write_json(temporary / RESULT, asdict(result))

    def _place(self, cell: Cell) -> Path:
        return self._folder / cell_name(self._inputs, cell.solver, cell.num_samples)


def _read(place: Path) -> tuple[CellResult, np.ndarray]:
    """A cell's result and its first images; OSError or ValueError where the folder holds something else."""
    result, images = read_typed(place / RESULT, CellResult), read_arrays(place / IMAGES).get("images")
    if images is None or images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"no images in {IMAGES}")
    return result, images
