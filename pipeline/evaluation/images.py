"""Measures images of models and of couplings by their features: FID and other metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.graph import Config
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.blocks import measure_block, parts_per_block, sample_blocks
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.evaluation.quality import Quality, measure_quality
from pipeline.evaluation.reference import Reference, feature_counts, num_images_kept, open_run_reference
from pipeline.evaluation.sweep import sweep
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.solvers import Solution
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.neighbours import require_neighbours
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import write_json
from pipeline.system.fingerprint import fingerprint_json
from pipeline.system.whole_files import read_json

TRAJECTORIES = "trajectories.json"


@dataclass(frozen=True)
class ImageMeasure:
    """The measure of images, see :class:`pipeline.evaluation.measure.Measure`.

    Attributes:
        config: Settings of the evaluation.
        extractor: Features.
        reference: Statistics of the real images.
        cells: Folder of cached cells.
        code: Hashes of the code that measures, from :func:`pipeline.system.code.reached_code`.
    """

    config: EvaluateConfig
    extractor: FeatureExtractor
    reference: Reference
    cells: Path
    code: Mapping[str, str]

    def couplings_row(self, round_name: str, store: CouplingStore) -> ImageRow:
        """The row of a store's images, measured in the same way as a model's."""
        solver, num_samples = store.manifest.solver, min(len(store), self.config.num_samples)
        return ImageRow(
            model=f"{COUPLINGS_PREFIX}{round_name}",
            solver=solver.label,
            num_steps=solver.num_steps,
            nfe=None,
            features=self.extractor.name,
            num_samples=num_samples,
            reference=self.reference.split,
            seed=store.manifest.seed,
            seconds_per_1000=None,
            **asdict(self._quality(store, num_samples)),
        )

    def evaluate(self, sampler: Sampler, model: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Rows and trajectories, and the first images of each cell, uint8, (num, C, H, W)."""
        found = sweep(sampler, model, self.config, self.extractor, self.reference, self.cells, code=self.code)
        trajectories = self._trajectories(sampler)
        rows = [asdict(row) for row in found.rows]
        return {"model": model, "rows": rows, "trajectories": asdict(trajectories)}, found.images

    def _trajectories(self, sampler: Sampler) -> TrajectoryRecord:
        """Measured by the main process and read by all; cached, and measured again when an input changes."""
        settings, runtime = self.config.straightness.model_dump(mode="json"), sampler.runtime
        inputs = [sampler.fingerprint, runtime.precision, str(runtime.device.type), self.config.seed, settings]
        place = self.cells / f"trajectories-{fingerprint_json([inputs, dict(self.code)])[:16]}"
        if runtime.is_main and not is_kept(place):
            record = measure_model_trajectories(sampler, self.config)
            with keeping(place) as temporary:
                write_json(temporary / TRAJECTORIES, asdict(record))
        runtime.accelerator.wait_for_everyone()
        return TypeAdapter(TrajectoryRecord).validate_python(read_json(place / TRAJECTORIES))

    def _quality(self, store: CouplingStore, num_samples: int) -> Quality:
        """Metrics of the first ``num_samples`` images of a store."""
        config, reference = self.config, self.reference
        reference.check(store.manifest.shape, num_samples, "evaluate.num_samples and the couplings' num_pairs")
        require_neighbours(num_samples, reference.num_images, config.neighbours.k)
        blocks = sample_blocks(num_samples, config.batch_size)
        measured = [
            measure_block(
                lambda batch: lambda: Solution(store.x_1(np.arange(batch.start, batch.stop)), nfe=0),
                indices,
                self.extractor,
                torch.device("cpu"),
                batch_size=config.batch_size,
                num_parts=parts_per_block(blocks),
                num_features_kept=max(feature_counts(config)),
                num_images_kept=num_images_kept(config),
            )
            for indices in blocks
        ]
        return measure_quality(measured, reference, config)


def open_image_measure(
    config: Config, runtime: Runtime, folders: MeasuringFolders, code: Mapping[str, str]
) -> ImageMeasure:
    """The measure of images with the configured features and reference.

    Raises:
        StraightflowError: If the features' network or the data set is missing or cannot be downloaded.
    """
    extractor, reference = open_run_reference(config, runtime, folders)
    return ImageMeasure(config.evaluate, extractor, reference, folders.cells, code)
