"""Measures models of points: every cell of the few-step table."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.flow.noise import sample_noise, step_generator, stream_key
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.points import energy_distance, sliced_wasserstein
from pipeline.metrics.row import samples_key
from pipeline.models.sampler import Sampler
from pipeline.system.progress import Progress
from pipeline.system.typed_content import require_possible
from pipeline.toys.distributions import Toy

NUM_PROJECTIONS = 128
FLOOR_REPEATS = 10
REFERENCE_STREAM = 1  # number of the random stream; floors take those after it, pipeline.metrics.field_error takes 0


@dataclass(frozen=True)
class PointReference:
    """What models of points are measured against.

    Attributes:
        toy: Distribution of the points.
        points: Fresh points: independent draws from it, (num, dim).
        sliced_wasserstein_floor: Mean distance between further pairs of such sets.
        seed: Seed of all these points and of the projection directions.
    """

    toy: Toy
    points: np.ndarray
    sliced_wasserstein_floor: float
    seed: int


def draw_point_reference(toy: Toy, num: int, seed: int) -> PointReference:
    """Draws ``num`` points, and ``FLOOR_REPEATS`` pairs of further sets of ``num`` points for the floor."""
    points, *others = (
        toy.sample(num, step_generator(seed, -1 - REFERENCE_STREAM - stream)).numpy()
        for stream in range(2 * FLOOR_REPEATS + 1)
    )
    pairs = zip(others[::2], others[1::2], strict=True)
    floors = [sliced_wasserstein(x, y, num_projections=NUM_PROJECTIONS, seed=seed) for x, y in pairs]
    return PointReference(toy, points, float(np.mean(floors)), seed)


def measure_points(
    points: np.ndarray, reference: PointReference, *, model: str, solver: str, num_steps: int | None, nfe: int | None,
    seed: int, seconds: float | None,
) -> PointRow:  # fmt: skip
    """The row of ``points`` (num, dim), measured against as many fresh points.

    Raises:
        StraightflowError: If a distance is not finite.
    """
    inside = reference.toy.inside
    row = PointRow(
        model=model,
        solver=solver,
        num_steps=num_steps,
        nfe=nfe,
        sliced_wasserstein=sliced_wasserstein(
            points, reference.points, num_projections=NUM_PROJECTIONS, seed=reference.seed
        ),
        sliced_wasserstein_floor=reference.sliced_wasserstein_floor,
        energy_distance=energy_distance(points, reference.points),
        inside_share=None if inside is None else float(inside(torch.from_numpy(points)).double().mean()),
        num_samples=len(points),
        num_projections=NUM_PROJECTIONS,
        seed=seed,
        seconds_per_1000=None if seconds is None else 1000 * seconds / len(points),
    )
    return require_possible(row, f"the measures of {model}")


def sweep_points(
    sampler: Sampler, model: str, toy: Toy, config: EvaluateConfig
) -> tuple[list[PointRow], dict[str, np.ndarray]]:
    """Measures a model with every solver and step count, all from the same noise.

    Returns:
        Rows, and the points of each cell by :func:`pipeline.metrics.row.samples_key`.
    """
    rows, kept = [], {}
    solvers = config.solvers(teacher=sampler.noise_schedule is not None)
    reference = draw_point_reference(toy, config.num_samples, config.seed)
    x_0 = sample_noise(stream_key("evaluation", config.seed), range(config.num_samples), sampler.shape, sampler.noise)
    with Progress(f"evaluating {model}", sum(solver.num_steps or 1 for solver in solvers), "steps") as progress:
        for solver in solvers:
            start = time.perf_counter()
            solution = sampler.sample(x_0, solver)
            points = solution.x.float().cpu().numpy()
            seconds = time.perf_counter() - start
            kept[samples_key(solver.label, solver.num_steps)] = points
            rows.append(
                measure_points(points, reference, model=model, solver=solver.label, num_steps=solver.num_steps,
                               nfe=int(solution.nfe), seed=config.seed, seconds=seconds)
            )  # fmt: skip
            progress.advance(solver.num_steps or 1)
    return rows, kept
