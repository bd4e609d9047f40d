"""What is measured of models of points: every cell of the few-step table."""

from __future__ import annotations

import time

import numpy as np
import torch

from pipeline.config import EvaluateConfig
from pipeline.metrics.points import energy_distance, sliced_wasserstein
from pipeline.models import Sampler
from pipeline.noise import sample_noise, step_generator, stream_key
from pipeline.progress import Progress
from pipeline.toys.distributions import Toy
from pipeline.toys.row import PointRow

NUM_PROJECTIONS = 128
FLOOR_REPEATS = 10
FRESH_STREAM = 1  # floors take the streams that follow; the one before is of pipeline.toys.field_error


def point_row(
    points: np.ndarray, toy: Toy, config: EvaluateConfig, *, model: str, solver: str, num_steps: int | None,
    nfe: int | None, seed: int, seconds: float | None,
) -> PointRow:  # fmt: skip
    """Measures points (num, dim) against as many fresh ones."""
    fresh, *others = (
        toy.sample(len(points), step_generator(config.seed, -1 - FRESH_STREAM - stream)).numpy()
        for stream in range(2 * FLOOR_REPEATS + 1)
    )
    pairs = zip(others[::2], others[1::2], strict=True)
    sliced = {"num_projections": NUM_PROJECTIONS, "seed": config.seed}
    return PointRow(
        model=model,
        solver=solver,
        num_steps=num_steps,
        nfe=nfe,
        sliced_wasserstein=sliced_wasserstein(points, fresh, **sliced),
        sliced_wasserstein_floor=float(np.mean([sliced_wasserstein(x, y, **sliced) for x, y in pairs])),
        energy_distance=energy_distance(points, fresh),
        inside_share=None if toy.inside is None else float(toy.inside(torch.from_numpy(points)).double().mean()),
        num_samples=len(points),
        num_projections=NUM_PROJECTIONS,
        seed=seed,
        seconds_per_1000=None if seconds is None else 1000 * seconds / len(points),
    )


def sweep_points(
    sampler: Sampler, model: str, toy: Toy, config: EvaluateConfig
) -> tuple[list[PointRow], dict[str, np.ndarray]]:
    """Measures a model at every solver and step count, all from the same noise.

    Returns:
        Rows, and the points of each ``<solver>/<num_steps>``.
    """
    rows, kept = [], {}
    cells = [solver for solver in config.solvers(teacher=sampler.noise_schedule is not None) if solver.num_steps]
    x_0 = sample_noise(stream_key("evaluation", config.seed), range(config.num_samples), sampler.shape, sampler.noise)
    with Progress(f"evaluating {model}", sum(solver.num_steps or 0 for solver in cells), "steps") as progress:
        for solver in cells:
            assert solver.num_steps is not None
            start = time.perf_counter()
            solution = sampler.sample(x_0, solver)
            points = solution.x.float().cpu().numpy()
            seconds = time.perf_counter() - start
            kept[f"{solver.label}/{solver.num_steps}"] = points
            rows.append(
                point_row(points, toy, config, model=model, solver=solver.label, num_steps=solver.num_steps,
                          nfe=int(solution.nfe), seed=config.seed, seconds=seconds)
            )  # fmt: skip
            progress.advance(solver.num_steps)
    return rows, kept
