"""Cache of measured cells (model × solver × step count); a cell is measured again when its inputs change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from safetensors.numpy import load_file, save_file

from pipeline.config.solver import SolverConfig
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.evaluation.quality import Quality
from pipeline.system.atomic import write_json
from pipeline.system.fingerprint import fingerprint_json
from pipeline.system.whole_files import read_json

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
        qualities: Metrics by each reference, in order; of chunks, and of all samples at once where these are several.
    """

    qualities: tuple[tuple[Quality, ...], ...]
    nfe: float
    nfe_std: float
    seconds_per_1000: float
    peak_memory_mib: float | None


class CellCache:
    """Measured cells of one model, cached in a folder.

    Args:
        folder: Folder of the cache; may be shared by several models.
        inputs: Everything besides the cell that a result depends on, as plain values.
    """

    def __init__(self, folder: Path, inputs: list[Any]) -> None:
        self._folder = folder
        self._inputs = inputs

    def load(self, cell: Cell) -> tuple[CellResult, np.ndarray] | None:
        """A cell's result and its first images, uint8, (num, C, H, W); None if it was not measured.

        Its hashes are those of :meth:`has`.
        """
        place = self._place(cell)
        if not (place / RESULT).is_file():
            return None
        result = TypeAdapter(CellResult).validate_python(read_json(place / RESULT))
        return result, load_file(place / IMAGES)["images"]

    def has(self, cell: Cell) -> bool:
        """Whether the cell was measured, and what was kept is unchanged."""
        return is_kept(self._place(cell))

    def save(self, cell: Cell, result: CellResult, images: np.ndarray) -> None:
        """Writes a result and its first images, atomically."""
        with keeping(self._place(cell)) as temporary:
            save_file({"images": np.ascontiguousarray(images)}, temporary / IMAGES)
            write_json(temporary / RESULT, asdict(result))

    def _place(self, cell: Cell) -> Path:
        inputs = [self._inputs, cell.solver.model_dump(mode="json"), cell.num_samples]
        return self._folder / f"{cell.solver.label}-{cell.solver.num_steps}-{fingerprint_json(inputs)[:16]}"
