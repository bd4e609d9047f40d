"""Trajectories of a model from a few noises, as pictures for the report's page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import interpolate

from pipeline.config.drawn_trajectories import NUM_NOISES, ODE_SOLVER, ODE_STEPS, TIMES, DrawnTrajectories
from pipeline.config.guidance import GuidanceConfig
from pipeline.data.trajectory_arrays import Trajectory
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import FIXED_STEP_SOLVERS, euler, flow_map_euler, uniform_grid
from pipeline.models.sampler import Sampler
from pipeline.models.sampling import pictures, require_images

LARGEST_SIDE = 32
"""Pixels along the longer side of a picture; those of larger images are smaller than the images."""


@torch.inference_mode()
def draw_trajectories(sampler: Sampler, drawn: DrawnTrajectories, seed: int) -> tuple[Trajectory, ...]:
    """States and headings of a model of images at ``TIMES``, from the first noises of the evaluation under ``seed``.

    Raises:
        StraightflowError: If a state is not finite, or the model's samples are no images.
    """
    require_images(sampler)
    noise, labels = sampler.draw(stream_key("evaluation", seed), range(NUM_NOISES))
    x_0, found = noise.to(sampler.runtime.device), []
    with sampler.runtime.uncompiled(), sampler.runtime.autocast():
        if drawn.along_ode:
            found.append(_trajectory(sampler, None, *_along_ode(sampler, x_0, labels, drawn.guidance)))
        found += [_trajectory(sampler, steps, *_by_steps(sampler, x_0, labels, steps)) for steps in drawn.num_steps]
    return tuple(found)


_Path = tuple[list[torch.Tensor], list[torch.Tensor]]
"""States and headings at each of ``TIMES``."""


def _along_ode(
    sampler: Sampler, x_0: torch.Tensor, labels: torch.Tensor | None, guidance: GuidanceConfig | None
) -> _Path:
    """Along the ODE; a diffusion model's begins at its noisiest level, and ends with its last estimate of the image."""
    field = sampler.velocity_field(labels, guidance)
    first, last = sampler.time_range()
    x, t = sampler.trajectory_start(x_0), first
    states, headings = [x_0], [_heading(field, x, t)]
    for time in TIMES[1:]:
        end = min(max(time, first), last)
        x = FIXED_STEP_SOLVERS[ODE_SOLVER](field, x, tuple(np.linspace(t, end, ODE_STEPS + 1).tolist())).x
        t = end
        states.append(x)
        headings.append(_heading(field, x, t))
    states[-1] = headings[-1]
    return states, headings


def _heading(field: Callable[..., torch.Tensor], x: torch.Tensor, t: float) -> torch.Tensor:
    return x + (1 - t) * field(x, x.new_full((len(x),), t))


def _by_steps(sampler: Sampler, x_0: torch.Tensor, labels: torch.Tensor | None, num_steps: int) -> _Path:
    """Along equal Euler steps, each a straight line: between its ends the velocity stays what it was at its start."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def noting(field: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def noted(x: torch.Tensor, *times: torch.Tensor) -> torch.Tensor:
            seen.append((x, field(x, *times)))
            return seen[-1][1]

        return noted

    grid = uniform_grid(num_steps)
    if sampler.two_times:
        image = flow_map_euler(noting(sampler.mean_velocity), x_0, grid).x
    else:
        image = euler(noting(sampler.velocity_field(labels)), x_0, grid).x
    states, headings = [], []
    for t in TIMES[:-1]:
        step = int(t * num_steps)
        x, velocity = seen[step]
        states.append(x + (t - grid[step]) * velocity)
        headings.append(x + (1 - grid[step]) * velocity)
    return [*states, image], [*headings, image]


def _trajectory(
    sampler: Sampler, num_steps: int | None, states: Sequence[torch.Tensor], headings: Sequence[torch.Tensor]
) -> Trajectory:
    # Averages of noise are less noisy, and a state must look as noisy as it is.
    return Trajectory(num_steps, _pictures(sampler, states, "nearest-exact"), _pictures(sampler, headings, "area"))


def _pictures(sampler: Sampler, samples: Sequence[torch.Tensor], mode: str) -> np.ndarray:
    """uint8, (num, len(samples), channels, height, width), of samples (num, …)."""
    height, width = sampler.image_shape[1:]
    smaller = -(-max(height, width) // LARGEST_SIDE)
    size = (max(1, height // smaller), max(1, width // smaller))
    images = (sampler.to_pixels(item).float() for item in samples)
    return np.stack([pictures(interpolate(item, size, mode=mode)) for item in images], axis=1)
