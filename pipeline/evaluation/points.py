"""Everything measured and kept of one model of points, for the report's table and figures."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from pipeline.config.evaluation import EvaluateConfig
from pipeline.evaluation.point_sweep import sweep_points
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import euler
from pipeline.metrics.field_error import field_error
from pipeline.models.sampler import Sampler
from pipeline.toys.distributions import Toy

DRAWN_TRAJECTORIES, DRAWN_STEPS, FIELD_POINTS = 2000, 50, 61
FIELD_SAMPLES, LIKELIHOODS = 20_000, 256


def evaluate_points(
    sampler: Sampler, model: str, toy: Toy, config: EvaluateConfig, *, has_exact_target: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measures a model.

    Args:
        sampler: The model.
        model: Its name.
        toy: What it should generate.
        config: Settings of the sweep.
        has_exact_target: Whether it should learn the mean velocity of independent pairs, a mixture's closed form.

    Returns:
        Numbers, and arrays to draw: points of each cell, ``times`` (T,), ``trajectories`` (num, T, dim) and, in one
        dimension, ``field`` (T, FIELD_POINTS) at ``positions``.
    """
    rows, arrays = sweep_points(sampler, model, toy, config)
    settings = config.straightness
    curve = measure_model_trajectories(sampler, config)
    num_drawn = min(DRAWN_TRAJECTORIES, config.num_samples)
    arrays |= _drawn(sampler, toy, sampler.draw(stream_key("evaluation", config.seed), range(num_drawn))[0])
    error = None
    if toy.mixture is not None and has_exact_target:
        error = field_error(
            sampler.velocity_field(), toy.mixture, sampler.noise,
            num_samples=FIELD_SAMPLES, num_likelihoods=LIKELIHOODS, seed=config.seed,
            device=sampler.runtime.device,
        )  # fmt: skip
    content = {
        "model": model,
        "rows": [asdict(row) for row in rows],
        "trajectories": asdict(curve)
        | {"num_samples": settings.num_samples, "num_steps": settings.num_steps, "seed": config.seed},
        "field_error": None if error is None else asdict(error),
    }
    return content, arrays


@torch.inference_mode()
def _drawn(sampler: Sampler, toy: Toy, x_0: torch.Tensor) -> dict[str, np.ndarray]:
    device, field = sampler.runtime.device, sampler.velocity_field()
    times = np.linspace(*sampler.time_range(), DRAWN_STEPS + 1, dtype=np.float32)
    states = [x_0.to(device)]
    for start, end in itertools.pairwise(times.tolist()):
        states.append(euler(field, states[-1], (start, end)).x)
    arrays = {"times": times, "trajectories": torch.stack(states, dim=1).float().cpu().numpy()}
    if toy.dim == 1:
        positions = torch.linspace(*toy.extent, FIELD_POINTS, device=device)
        values = [field(positions[:, None], positions.new_full((FIELD_POINTS,), t))[:, 0] for t in times.tolist()]
        arrays |= {"positions": positions.cpu().numpy(), "field": torch.stack(values).float().cpu().numpy()}
    return arrays
