"""Images measured by their features: Fréchet distance and other measures, of models and of couplings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.graph import Config
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.blocks import measure_block, parts_per_block, sample_blocks
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.quality import Quality, measure_quality
from pipeline.evaluation.reference import Reference, num_kept, open_run_reference
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


@dataclass(frozen=True)
class ImageMeasure:
    """The measure of images, see :class:`pipeline.evaluation.measure.Measure`.

    Attributes:
        config: Settings of the sweep.
        extractor: Features.
        reference: What images are compared with.
        cells: Where measured cells are kept.
        code: What measures them, see :func:`pipeline.system.code.reached_code`.
    """

    config: EvaluateConfig
    extractor: FeatureExtractor
    reference: Reference
    cells: Path
    code: Mapping[str, str]

    def couplings_row(self, round_name: str, store: CouplingStore) -> ImageRow:
        """The row of a store's images, measured as those of models are."""
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
        """Rows and trajectories, and the leading images of each cell, uint8, (num, C, H, W)."""
        found = sweep(sampler, model, self.config, self.extractor, self.reference, self.cells, code=self.code)
        trajectories = self._trajectories(sampler)
        rows = [asdict(row) for row in found.rows]
        return {"model": model, "rows": rows, "trajectories": asdict(trajectories)}, found.images

    def _trajectories(self, sampler: Sampler) -> TrajectoryRecord:
        """Measured by the main process, read by all, and kept until something that they depend on changes."""
        settings, runtime = self.config.straightness.model_dump(mode="json"), sampler.runtime
        inputs = [sampler.fingerprint, runtime.precision, str(runtime.device.type), self.config.seed, settings]
        path = self.cells / f"trajectories-{fingerprint_json([inputs, dict(self.code)])[:16]}.json"
        if runtime.is_main and not path.is_file():
            write_json(path, asdict(measure_model_trajectories(sampler, self.config)))
        runtime.accelerator.wait_for_everyone()
        return TrajectoryRecord(**json.loads(path.read_text("utf-8")))

    def _quality(self, store: CouplingStore, num_samples: int) -> Quality:
        """Of the first ``num_samples`` images of a store."""
        config, reference = self.config, self.reference
        reference.check(store.manifest.shape, num_samples, "evaluate.num_samples and the couplings' num_pairs")
        require_neighbours(num_samples, len(reference.features), config.neighbours.k)
        blocks = sample_blocks(num_samples, config.batch_size)
        measured = [
            measure_block(
                lambda batch: Solution(store.x_1(np.arange(batch.start, batch.stop)), nfe=0),
                indices,
                self.extractor,
                torch.device("cpu"),
                batch_size=config.batch_size,
                num_parts=parts_per_block(blocks),
                num_kept=num_kept(config),
            )
            for indices in blocks
        ]
        return measure_quality(measured, reference, config)


def open_image_measure(
    config: Config, runtime: Runtime, folders: MeasuringFolders, code: Mapping[str, str]
) -> ImageMeasure:
    """The configured features and reference of images.

    Raises:
        StraightflowError: If the features' network or the data set is missing or out of reach.
    """
    extractor, reference = open_run_reference(config, runtime, folders)
    return ImageMeasure(config.evaluate, extractor, reference, folders.cells, code)
