"""Geometry of a model's trajectories."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.flow.noise import stream_key
from pipeline.metrics.trajectories import measure_trajectories
from pipeline.metrics.trajectory_measures import TrajectoryRecord
from pipeline.models.sampler import Sampler
from pipeline.system.typed_content import require_possible


@torch.inference_mode()
def measure_model_trajectories(sampler: Sampler, config: EvaluateConfig) -> TrajectoryRecord:
    """Measures Euler trajectories from the first noise samples of the evaluation, over the model's range of times.

    Raises:
        StraightflowError: If they diverge, so that a measure is not finite.
    """
    settings = config.straightness
    noise, labels = sampler.draw(stream_key("evaluation", config.seed), range(settings.num_samples))
    start, end = sampler.time_range()
    times = tuple(float(time) for time in np.linspace(start, end, settings.num_steps + 1))
    first_states = sampler.trajectory_start(noise.to(sampler.runtime.device))
    with sampler.runtime.uncompiled(), sampler.runtime.autocast():
        measures = measure_trajectories(sampler.velocity_field(labels), first_states, times)
    record = TrajectoryRecord(
        **asdict(measures), num_samples=settings.num_samples, num_steps=settings.num_steps, seed=config.seed
    )
    return require_possible(record, "the measures of trajectories")
