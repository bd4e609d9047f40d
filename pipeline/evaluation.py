"""The few-step sweep: FID, counted NFE and seconds for each solver and step count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from pipeline.config import EvaluateConfig, SolverConfig
from pipeline.metrics.frechet import FeatureStatistics, frechet_distance, statistics_of
from pipeline.metrics.row import Row
from pipeline.metrics.straightness import Straightness, straightness
from pipeline.models import Sampler
from pipeline.noise import sample_noise, stream_key
from pipeline.pixels import to_uint8
from pipeline.progress import Progress

FeatureExtractor = Callable[[torch.Tensor], np.ndarray]


def sweep(
    sampler: Sampler,
    model: str,
    solvers: tuple[str, ...],
    config: EvaluateConfig,
    extract: FeatureExtractor,
    reference: FeatureStatistics,
    *,
    features: str,
    reference_split: str,
) -> tuple[list[Row], dict[str, torch.Tensor]]:
    """Measures a model at every solver and step count, all from the same noise.

    Returns:
        Rows, and for each ``solver/num_steps`` the first ``grid_images`` images, uint8.
    """
    rows, grids = [], {}
    cells = [(solver, steps) for solver in solvers for steps in config.num_steps]
    images_in_all = len(cells) * config.num_samples
    with Progress(f"evaluating {model}", images_in_all, "images") as progress:
        for name, steps in cells:
            solver = SolverConfig.model_validate({"name": name, "num_steps": steps})
            features_of_cell, kept, nfe, seconds = [], [], 0, 0.0
            for noise in _noise_batches(sampler, config):
                start = time.perf_counter()
                solution = sampler.sample(noise, solver)
                images = to_uint8(solution.x).cpu()
                seconds += time.perf_counter() - start
                nfe = solution.nfe
                features_of_cell.append(extract(images))
                kept.append(images[: config.grid_images])
                progress.advance(len(images))
            grids[f"{name}/{steps}"] = torch.cat(kept)[: config.grid_images].contiguous()
            rows.append(
                Row(
                    model=model,
                    solver=name,
                    num_steps=steps,
                    nfe=nfe,
                    fid=frechet_distance(statistics_of(np.concatenate(features_of_cell)), reference),
                    features=features,
                    num_samples=config.num_samples,
                    reference=reference_split,
                    seed=config.seed,
                    seconds_per_1000=1000 * seconds / config.num_samples,
                )
            )
    return rows, grids


def measure_straightness(sampler: Sampler, config: EvaluateConfig) -> Straightness:
    """Straightness of the model's trajectories, over the times its field covers."""
    count = config.straightness.num_samples
    x_0 = sample_noise(stream_key("evaluation", config.seed), range(count), sampler.shape).to(sampler.runtime.device)
    start, end = sampler.time_range()
    times = tuple(float(time) for time in np.linspace(start, end, config.straightness.num_steps + 1))
    with torch.inference_mode(), sampler.runtime.autocast():
        return straightness(sampler.velocity_field(), x_0, times)


def _noise_batches(sampler: Sampler, config: EvaluateConfig) -> Iterator[torch.Tensor]:
    key = stream_key("evaluation", config.seed)
    for start in range(0, config.num_samples, config.batch_size):
        yield sample_noise(key, range(start, min(start + config.batch_size, config.num_samples)), sampler.shape)
