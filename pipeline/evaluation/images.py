"""Measures images of models and of couplings by their features: FID and other metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.blocks import BlockMeasures, chunk_blocks, measure_block, parts_per_block
from pipeline.evaluation.cache_names import Machine, trajectories_name
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.evaluation.quality import Quality, measure_quality
from pipeline.evaluation.reference import Reference, feature_counts, num_images_kept, open_run_references
from pipeline.evaluation.sweep import sweep
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.solvers import Solution
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.neighbours import require_neighbours
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import write_json
from pipeline.system.compute import Compute
from pipeline.system.progress import Progress
from pipeline.system.typed_content import read_typed, require_possible

TRAJECTORIES, COMPUTE = "trajectories.json", "compute.json"
CellsOf = Callable[[str], tuple[tuple[SolverConfig, int], ...]]


@dataclass(frozen=True)
class ImageMeasure:
    """The measure of images, see :class:`pipeline.evaluation.measure.Measure`.

    Attributes:
        config: Settings of the evaluation.
        cells_of: Name of a model → solver and number of samples of each of its cells.
        references: Statistics of the real images by each kind of features, the first for what is chosen.
        cells: Folder of cached cells.
        code: Hashes of the code that measures, from :func:`pipeline.system.code.reached_code`.
    """

    config: EvaluateConfig
    cells_of: CellsOf
    references: tuple[Reference, ...]
    cells: Path
    code: Mapping[str, str]

    def couplings_rows(self, name: str, store: CouplingStore, source: Sampler) -> tuple[ImageRow, ...]:
        """The rows of a store's images, measured in the same way as a model's, on as many chunks as it has."""
        solver = store.manifest.solver
        rows = tuple(
            ImageRow(
                model=f"{COUPLINGS_PREFIX}{name}",
                solver=solver.label,
                num_steps=solver.num_steps,
                nfe=None,
                seed=store.manifest.seed,
                **reference.identity,
                **asdict(quality),
            )
            for reference, qualities in zip(self.references, self._qualities(store, source), strict=True)
            for quality in qualities
        )
        return tuple(require_possible(row, f"the measures of {row.model}") for row in rows)

    def evaluate(self, sampler: Sampler, model: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Rows and trajectories, and the first images of each cell, uint8, (num, C, H, W)."""
        found = sweep(sampler, model, self.cells_of(model), self.config, self.references, self.cells, code=self.code)
        trajectories, compute = self._trajectories(sampler)
        rows = [asdict(require_possible(row, f"the measures of {model}")) for row in found.rows]
        content = {"model": model, "rows": rows, "trajectories": asdict(trajectories)}
        content |= {"compute": asdict(found.compute + compute)}
        if sampler.space.is_decoded:
            content |= {"decoding": asdict(found.decoding)}
        return content, found.images

    def _trajectories(self, sampler: Sampler) -> tuple[TrajectoryRecord, Compute]:
        """Measures, and what they took; measured by the main process, read by all, and again when an input changes."""
        runtime = sampler.runtime
        machine = Machine(str(runtime.device.type), runtime.precision)
        place = self.cells / trajectories_name(sampler.fingerprint, machine, self.config, self.code)
        if runtime.is_main and not is_kept(place, _read_trajectories):
            calls_before, began = sampler.calls.copy(), time.monotonic()
            record = measure_model_trajectories(sampler, self.config)
            compute = sampler.compute(calls_before, time.monotonic() - began)
            with keeping(place) as temporary:
                write_json(temporary / TRAJECTORIES, asdict(record))
                write_json(temporary / COMPUTE, asdict(compute))
        runtime.accelerator.wait_for_everyone()
        return _read_trajectories(place)

    def _qualities(self, store: CouplingStore, source: Sampler) -> tuple[tuple[Quality, ...], ...]:
        """Metrics of a store's first images, in chunks as large as a model's; of all if there are fewer."""
        config = self.config
        chunk_samples = min(len(store), config.num_samples)
        for reference in self.references:
            reference.check(source.image_shape, chunk_samples, "evaluate.num_samples and the couplings' num_pairs")
            require_neighbours(chunk_samples, reference.num_images, config.neighbours.k)
        num_samples = len(store) - len(store) % chunk_samples
        chunks = chunk_blocks(num_samples, chunk_samples, config.batch_size)
        with Progress("measuring couplings", num_samples, "images") as progress:
            measured = [
                [self._measure(store, source, indices, chunks[0], progress) for indices in chunk] for chunk in chunks
            ]
        return measure_quality(measured, self.references, config)

    def _measure(
        self, store: CouplingStore, source: Sampler, indices: range, chunk: Sequence[range], progress: Progress
    ) -> BlockMeasures:
        measured = measure_block(
            lambda batch: lambda: Solution(store.x_1(np.arange(batch.start, batch.stop)), nfe=0),
            indices,
            [reference.extractor for reference in self.references],
            torch.device("cpu"),
            decode=source.decode,
            batch_size=self.config.batch_size,
            num_parts=parts_per_block(chunk),
            num_features_kept=max(feature_counts(self.config)),
            num_images_kept=num_images_kept(self.config),
        )
        progress.advance(len(indices))
        return measured


def _read_trajectories(place: Path) -> tuple[TrajectoryRecord, Compute]:
    return read_typed(place / TRAJECTORIES, TrajectoryRecord), read_typed(place / COMPUTE, Compute)


def open_image_measure(
    config: Config, runtime: Runtime, folders: MeasuringFolders, code: Mapping[str, str]
) -> ImageMeasure:
    """The measure of images with the configured features and reference.

    Raises:
        StraightflowError: If the features' network or the data set is missing or cannot be downloaded.
    """
    references = open_run_references(config, runtime, folders)
    return ImageMeasure(config.evaluate, config.cells_of, references, folders.cells, code)
