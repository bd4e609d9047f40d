"""The shape of a model's trajectories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.flow.noise import stream_key
from pipeline.metrics.trajectories import measure_trajectories
from pipeline.metrics.trajectory_measures import TrajectoryMeasures
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import write_json
from pipeline.system.code import NO_CODE
from pipeline.system.fingerprint import fingerprint_json


@torch.inference_mode()
def measure_model_trajectories(sampler: Sampler, config: EvaluateConfig) -> TrajectoryMeasures:
    """Measures Euler trajectories from the first noises of the evaluation, over the times the model's field covers."""
    settings = config.straightness
    noise, labels = sampler.draw(stream_key("evaluation", config.seed), range(settings.num_samples))
    start, end = sampler.time_range()
    times = tuple(float(time) for time in np.linspace(start, end, settings.num_steps + 1))
    with sampler.runtime.autocast():
        return measure_trajectories(sampler.velocity_field(labels), noise.to(sampler.runtime.device), times)


def cached_trajectories(
    sampler: Sampler, config: EvaluateConfig, cache_folder: Path, *, code: Mapping[str, str] = NO_CODE
) -> TrajectoryMeasures:
    """:func:`measure_model_trajectories`, kept in ``cache_folder`` until something that it depends on changes."""
    settings = config.straightness.model_dump(mode="json")
    inputs = [sampler.fingerprint, sampler.runtime.precision, str(sampler.runtime.device.type), config.seed, settings]
    path = cache_folder / f"trajectories-{fingerprint_json([inputs, dict(code)])[:16]}.json"
    if not path.is_file():
        write_json(path, asdict(measure_model_trajectories(sampler, config)))
    return TrajectoryMeasures(**json.loads(path.read_text()))
