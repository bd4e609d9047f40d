"""What is measured of models of points: every cell of the few-step table, and the field against the closed form."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields

import numpy as np
import torch

from pipeline.config import EvaluateConfig, NoiseConfig
from pipeline.interpolation import linear_path
from pipeline.metrics.likelihood import log_likelihood
from pipeline.metrics.points import energy_distance, sliced_wasserstein
from pipeline.models import Sampler
from pipeline.noise import place_noise, sample_noise, step_generator, stream_key
from pipeline.progress import Progress
from pipeline.solvers import Field
from pipeline.toys.distributions import Toy
from pipeline.toys.gaussian_mixture import GaussianMixture

NUM_PROJECTIONS = 128
FLOOR_REPEATS = 10
FIELD_STREAM, FRESH_STREAM = 0, 1  # floors take the streams that follow


@dataclass(frozen=True)
class PointRow:
    """One measured cell; carries everything that its values depend on.

    Attributes:
        model: Model, or ``couplings@<round>``.
        solver: Solver of the ODE.
        num_steps: Its steps.
        nfe: Counted network calls per point; None for couplings.
        sliced_wasserstein: Distance to as many fresh points, see :mod:`pipeline.metrics.points`.
        sliced_wasserstein_floor: The same between two sets of fresh points, mean over ``FLOOR_REPEATS`` pairs: what
            sampling alone leaves.
        energy_distance: Energy distance to the same fresh points.
        inside_share: Share of points in the support (for the checkerboard its dark cells); None where it has no edge.
        num_samples: Points on either side.
        num_projections: Directions of the sliced distance.
        seed: Seed of noise, fresh points and directions.
        seconds_per_1000: Seconds of sampling per 1,000 points; None for couplings.
    """

    model: str
    solver: str
    num_steps: int
    nfe: int | None
    sliced_wasserstein: float
    sliced_wasserstein_floor: float
    energy_distance: float
    inside_share: float | None
    num_samples: int
    num_projections: int
    seed: int
    seconds_per_1000: float | None


POINT_COLUMNS = tuple(field.name for field in fields(PointRow))


@dataclass(frozen=True)
class FieldError:
    """A learned first flow against the closed form of a mixture.

    Attributes:
        velocity_error: sqrt(E‖v - v*‖² / E‖v*‖²) over the times and densities of the path: relative L2.
        log_likelihood_error: Mean of |log p - log p*| at fresh points, in nats.
        log_likelihood: Mean of log p at fresh points.
        exact_log_likelihood: Mean of log p* there.
        num_samples: Points of the velocity error.
        num_likelihoods: Points of the likelihoods.
    """

    velocity_error: float
    log_likelihood_error: float
    log_likelihood: float
    exact_log_likelihood: float
    num_samples: int
    num_likelihoods: int


def point_row(
    points: np.ndarray, toy: Toy, config: EvaluateConfig, *, model: str, solver: str, num_steps: int, nfe: int | None,
    seed: int, seconds: float | None,
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


def field_error(
    field: Field, mixture: GaussianMixture, noise: NoiseConfig, *, num_samples: int, num_likelihoods: int, seed: int
) -> FieldError:
    """Compares a field that was matched to independent pairs with the mixture's own, see :class:`FieldError`."""
    generator = step_generator(seed, -1 - FIELD_STREAM)
    x_1 = mixture.sample(num_samples, generator)
    x_0 = place_noise(torch.randn(x_1.shape, generator=generator), noise)
    t = torch.rand(num_samples, generator=generator)
    x_t = linear_path(x_0, x_1, t)
    exact = mixture.velocity(x_t, t, noise)
    with torch.no_grad():
        difference = field(x_t, t) - exact
    fresh = mixture.sample(num_likelihoods, generator)
    found, known = log_likelihood(field, fresh, noise, rtol=1e-4, atol=1e-4), mixture.log_prob(fresh)
    return FieldError(
        velocity_error=float((difference.square().sum() / exact.square().sum()).sqrt()),
        log_likelihood_error=float((found - known).abs().mean()),
        log_likelihood=float(found.mean()),
        exact_log_likelihood=float(known.mean()),
        num_samples=num_samples,
        num_likelihoods=num_likelihoods,
    )
