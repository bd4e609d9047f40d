"""Measures images of models and of couplings by their features: FID and other metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.numpy import save_file

from pipeline.config.class_measuring import samples_per_class, solver_shown
from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.couplings.store import CouplingStore
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.data.trajectory_arrays import Trajectory, from_arrays, to_arrays
from pipeline.evaluation.blocks import BlockMeasures, chunk_blocks, measure_block, parts_per_block
from pipeline.evaluation.by_class import class_record, require_class_fids
from pipeline.evaluation.cache_names import Machine, cell_inputs, classes_name, drawn_name, trajectories_name
from pipeline.evaluation.drawn_trajectories import draw_trajectories
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.evaluation.quality import Quality, measure_quality
from pipeline.evaluation.reference import Reference, feature_counts, num_images_kept, open_run_references
from pipeline.evaluation.sweep import sweep
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.solvers import Solution
from pipeline.metrics.class_measures import CLASS_GRID, ClassRecord
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.neighbours import require_neighbours
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.array_files import read_arrays
from pipeline.system.atomic import write_json
from pipeline.system.compute import Compute
from pipeline.system.progress import Progress
from pipeline.system.typed_content import read_typed, require_possible

TRAJECTORIES, DRAWN, COMPUTE = "trajectories.json", "drawn.safetensors", "compute.json"
CLASSES, GRID = "classes.json", "grid.safetensors"
CellsOf = Callable[[str], tuple[tuple[SolverConfig, int], ...]]
DrawnOf = Callable[[str], DrawnTrajectories]
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class ImageMeasure:
    """The measure of images, see :class:`pipeline.evaluation.measure.Measure`.

    Attributes:
        config: Settings of the evaluation.
        cells_of: Name of a model → solver and number of samples of each of its cells.
        drawn_of: Name of a model → its trajectories that are drawn.
        references: Statistics of the real images by each kind of features, the first for what is chosen.
        cells: Folder of cached cells.
        code: Hashes of the code that measures, from :func:`pipeline.system.code.reached_code`.
        real: The reference split; None where no classes are to be measured one by one.
    """

    config: EvaluateConfig
    cells_of: CellsOf
    drawn_of: DrawnOf
    references: tuple[Reference, ...]
    cells: Path
    code: Mapping[str, str]
    real: SampleSet | None = None

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
        """Rows and trajectories; the first images of each cell, uint8, (num, C, H, W), and drawn trajectories.

        Of a class-conditional model its ``classes`` too (:class:`pipeline.metrics.class_measures.ClassRecord`), and
        their grid. Classes are drawn as often as in the data that it was made from, where it says how often: a distance
        to the data counts a class that is drawn too rarely as images that are missing.
        """
        if self.config.per_class and sampler.num_conditions is not None:
            num_features = self.references[0].frechet.moments.num_features
            count = samples_per_class(self.config, sampler.num_conditions)
            labels = None if self.real is None else self.real.labels
            require_class_fids(labels, sampler.num_conditions, num_features, count)
        found = sweep(sampler, model, self.cells_of(model), self.config, self.references, self.cells, code=self.code)
        trajectories, measuring = self._trajectories(sampler)
        drawn, drawing = self._drawn(sampler, model)
        rows = [asdict(require_possible(row, f"the measures of {model}")) for row in found.rows]
        content = {"model": model, "rows": rows, "trajectories": asdict(trajectories)}
        images, compute = found.images | to_arrays(drawn), found.compute + measuring + drawing
        if sampler.num_conditions is not None:
            (record, grid), of_classes = self._classes(sampler, model)
            content, images = content | {"classes": asdict(record)}, images | {CLASS_GRID: grid}
            compute += of_classes
        content |= {"compute": asdict(compute)}
        if sampler.space.is_decoded:
            content |= {"decoding": asdict(found.decoding)}
        return content, images

    def _classes(self, sampler: Sampler, model: str) -> tuple[tuple[ClassRecord, np.ndarray], Compute]:
        """The classes one by one and their grid, and what they took; measured again when an input changes."""
        solvers = [solver for solver, _ in self.cells_of(model)]
        solver = solver_shown(solvers, diffusion=sampler.noise_schedule is not None)
        measured_by = [(item.extractor, item.fingerprint) for item in self.references]
        inputs = cell_inputs(sampler.fingerprint, _machine(sampler), measured_by, self.config, self.code)

        def measure(folder: Path) -> None:
            record, grid = class_record(sampler, solver, self.config, self.references[0], self.real)
            write_json(folder / CLASSES, asdict(require_possible(record, f"the classes of {model}")))
            save_file({CLASS_GRID: grid}, folder / GRID)

        return _kept(sampler, self.cells / classes_name(inputs, solver, self.config), measure, _read_classes)

    def _trajectories(self, sampler: Sampler) -> tuple[TrajectoryRecord, Compute]:
        """Measures of trajectories, and what they took; measured again when an input changes."""
        name = trajectories_name(sampler.fingerprint, _machine(sampler), self.config, self.code)

        def measure(folder: Path) -> None:
            write_json(folder / TRAJECTORIES, asdict(measure_model_trajectories(sampler, self.config)))

        return _kept(
            sampler, self.cells / name, measure, lambda place: read_typed(place / TRAJECTORIES, TrajectoryRecord)
        )

    def _drawn(self, sampler: Sampler, model: str) -> tuple[tuple[Trajectory, ...], Compute]:
        """Drawn trajectories, and what they took; drawn again when an input changes."""
        drawn, seed = self.drawn_of(model), self.config.seed
        name = drawn_name(sampler.fingerprint, _machine(sampler), drawn, seed, self.code)

        def draw(folder: Path) -> None:
            save_file(to_arrays(draw_trajectories(sampler, drawn, seed)), folder / DRAWN)

        return _kept(sampler, self.cells / name, draw, lambda place: from_arrays(read_arrays(place / DRAWN)))

    def _qualities(self, store: CouplingStore, source: Sampler) -> tuple[tuple[Quality, ...], ...]:
        """Metrics of a store's first images, as many as the headline's cells have, in chunks as large as a model's.

        Of all if there are fewer. Distances of unequally many images do not compare.
        """
        config = self.config
        chunk_samples = min(len(store), config.num_samples)
        for reference in self.references:
            reference.check(source.image_shape, chunk_samples, "evaluate.num_samples and the couplings' num_pairs")
            require_neighbours(chunk_samples, reference.num_images, config.neighbours.k)
        most = min(len(store), max(config.num_samples, config.headline.num_samples))
        num_samples = most - most % chunk_samples
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


def _kept(
    sampler: Sampler, place: Path, make: Callable[[Path], None], read: Callable[[Path], Kept]
) -> tuple[Kept, Compute]:
    """What is kept at ``place``, and what it took: made by the main process if it is not there, and read by all."""

    def read_both(folder: Path) -> tuple[Kept, Compute]:
        return read(folder), read_typed(folder / COMPUTE, Compute)

    if sampler.runtime.is_main and not is_kept(place, read_both):
        calls_before, began = sampler.calls.copy(), time.monotonic()
        with keeping(place) as temporary:
            make(temporary)
            compute = sampler.compute(calls_before, time.monotonic() - began)
            write_json(temporary / COMPUTE, asdict(compute))
    sampler.runtime.accelerator.wait_for_everyone()
    return read_both(place)


def _machine(sampler: Sampler) -> Machine:
    return Machine(str(sampler.runtime.device.type), sampler.runtime.precision)


def _read_classes(place: Path) -> tuple[ClassRecord, np.ndarray]:
    return read_typed(place / CLASSES, ClassRecord), read_arrays(place / GRID)[CLASS_GRID]


def open_image_measure(
    config: Config, runtime: Runtime, folders: MeasuringFolders, code: Mapping[str, str]
) -> ImageMeasure:
    """The measure of images with the configured features and reference.

    Raises:
        StraightflowError: If the features' network or the data set is missing or cannot be downloaded.
    """
    references = open_run_references(config, runtime, folders)
    split = config.features.reference_split if config.evaluate.per_class else None
    real = None if split is None else open_samples(folders.data, split)
    return ImageMeasure(config.evaluate, config.cells_of, config.drawn_of, references, folders.cells, code, real)
