"""Images from a saved model, and the trajectories to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch

from pipeline.config.solver import FLOW_MAP_SOLVERS, SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.data.space import PIXELS
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import FIXED_STEP_SOLVERS, Solution, flow_map_euler, time_grid
from pipeline.models.sampler import Sampler
from pipeline.system.blocks import batches_of
from pipeline.system.errors import StraightflowError

TRAJECTORY_SOLVERS = ("euler", "heun", "midpoint", "rk4")


def sample_images(
    sampler: Sampler, solver: SolverConfig, seed: int, num_images: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Yields batches of uint8 images (batch, C, H, W).

    Image i comes from the noise that evaluation gives sample i under the same seed, so the report's samples can be
    drawn again.

    Raises:
        StraightflowError: If an image is not finite, or the model's samples are no images.
    """
    for indices in batches_of(range(num_images), batch_size):
        yield draw_images(sampler, solver, stream_key("evaluation", seed), indices)


def draw_images(
    sampler: Sampler, solver: SolverConfig, key: int, indices: Iterable[int], labels: torch.Tensor | None = None
) -> np.ndarray:
    """uint8 images (len(indices), C, H, W) from the noises of these indices under ``key``.

    They are of the classes ``labels``, (len(indices),), in place of those that go with the noises, if these are given.

    Raises:
        StraightflowError: If an image is not finite, or the model's samples are no images.
    """
    require_images(sampler)
    x_0, drawn = sampler.draw(key, indices)
    return pictures(sampler.to_pixels(sampler.sample(x_0, solver, drawn if labels is None else labels).x))


def default_solver(sampler: Sampler) -> str:
    """Name of the solver that draws images where none is asked for."""
    return "euler" if sampler.noise_schedule is None else "unipc"


@torch.inference_mode()
def sample_trajectories(
    sampler: Sampler, solver: SolverConfig, seed: int, num_images: int
) -> list[tuple[float, np.ndarray]]:
    """(t, x_t as uint8 images) at every time of the solver's grid, starting with the noise.

    A teacher's trajectory is that of its velocity field, over the times that its noise schedule covers.

    Raises:
        StraightflowError: If the solver keeps more than the state from one step to the next, a state is not finite, or
            the model's samples are no images.
    """
    require_images(sampler)
    solvers = trajectory_solvers(sampler)
    if solver.name not in solvers:
        raise StraightflowError(
            expected=f"one of {', '.join(solvers)} for a trajectory",
            found=solver.name,
            mend="choose one of them with --solver",
        )
    first, last = sampler.time_range()
    times = [first + (last - first) * t for t in time_grid(solver)]
    noise, labels = sampler.draw(stream_key("evaluation", seed), range(num_images))
    x = sampler.trajectory_start(noise.to(sampler.runtime.device))
    states = [(times[0], pictures(sampler.to_pixels(x)))]
    with sampler.runtime.autocast():
        step = _step_of(sampler, solver, labels)
        for start, end in itertools.pairwise(times):
            x = step(x, (start, end)).x
            states.append((end, pictures(sampler.to_pixels(x))))
    return states


def trajectory_solvers(sampler: Sampler) -> tuple[str, ...]:
    """Solvers that a trajectory of this model can be drawn with."""
    return FLOW_MAP_SOLVERS if sampler.two_times else TRAJECTORY_SOLVERS


def _step_of(
    sampler: Sampler, solver: SolverConfig, labels: torch.Tensor | None
) -> Callable[[torch.Tensor, tuple[float, ...]], Solution]:
    """The solver's steps from a state along given times."""
    if sampler.two_times:
        return partial(flow_map_euler, sampler.mean_velocity)
    return partial(FIXED_STEP_SOLVERS[solver.name], sampler.velocity_field(labels))


def require_images(sampler: Sampler) -> None:
    """Raises StraightflowError if the model's samples are no images."""
    if not sampler.space.is_visual:
        raise StraightflowError(
            expected=f"a model of images, {PIXELS.shape_in_words}",
            found=f"one of {sampler.space.noun}s of shape {sampler.shape}",
            mend="see report/figures for its samples; samples/<model>.safetensors holds those that were measured",
        )


def pictures(images: torch.Tensor) -> np.ndarray:
    """Images in [-1, 1] as uint8, same shape; StraightflowError if one is not finite."""
    if not bool((images.abs() < torch.inf).all()):
        raise StraightflowError(
            expected="finite images", found="NaN or infinity", mend="check the model, or set compute.precision: fp32"
        )
    pixels: np.ndarray = to_uint8(images).cpu().numpy()
    return pixels
