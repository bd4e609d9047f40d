"""Drawn trajectories as arrays of ``samples/<model>.safetensors``, beside the samples of its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.config.drawn_trajectories import TIMES

PREFIX = "trajectory/"
ODE, STATES, HEADINGS = "ode", "states", "headings"


@dataclass(frozen=True)
class Trajectory:
    """Trajectories from some noises, as pictures: uint8, (num, times, channels, height, width).

    Attributes:
        num_steps: Euler steps; None along the ODE.
        states: x_t.
        headings: The image that x_t heads for, x_t + (1 - t) dx_t/dt. Along an ODE of independent pairs it is the mean
            of all images that x_t can come from (Liu et al. 2022, eq. 2).
    """

    num_steps: int | None
    states: np.ndarray
    headings: np.ndarray


def is_of_trajectory(name: str) -> bool:
    """Whether an array of this name belongs to a drawn trajectory."""
    return name.startswith(PREFIX)


def to_arrays(trajectories: Iterable[Trajectory]) -> dict[str, np.ndarray]:
    """Arrays by name; those of ``trajectory/ode`` are along the ODE, those of ``trajectory/4`` of four steps."""
    arrays: dict[str, np.ndarray] = {}
    for item in trajectories:
        name = f"{PREFIX}{item.num_steps or ODE}"
        arrays |= {f"{name}/{STATES}": item.states, f"{name}/{HEADINGS}": item.headings}
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> tuple[Trajectory, ...]:
    """The trajectories among ``arrays``, along the ODE first, then by steps; none in files of older versions.

    Raises:
        ValueError: If one is not as :func:`to_arrays` leaves it, or they are not all of one shape.
    """
    names = {name for name in arrays if is_of_trajectory(name)}
    found = [_read(name, arrays) for name in sorted({name.rpartition("/")[0] for name in names})]
    others = sorted(names - to_arrays(found).keys())
    if others:
        raise ValueError(f"{', '.join(others)}, which is of no trajectory")
    shapes = {values.shape for item in found for values in (item.states, item.headings)}
    if len(shapes) > 1:
        raise ValueError(f"trajectories of shapes {', '.join(map(str, sorted(shapes)))}")
    return tuple(sorted(found, key=lambda item: item.num_steps or 0))


def _read(name: str, arrays: Mapping[str, np.ndarray]) -> Trajectory:
    steps = name.removeprefix(PREFIX)
    if steps != ODE and not (steps.isdecimal() and str(int(steps)) == steps and int(steps) > 0):
        raise ValueError(f"{name}, which names no number of steps")
    states, headings = (_pictures(f"{name}/{part}", arrays) for part in (STATES, HEADINGS))
    return Trajectory(None if steps == ODE else int(steps), states, headings)


def _pictures(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"no {name}")
    values = arrays[name]
    fits = values.ndim == 5 and values.shape[1] == len(TIMES) and values.shape[2] in (1, 3) and 0 not in values.shape
    if values.dtype != np.uint8 or not fits:
        raise ValueError(
            f"{values.dtype} of shape {values.shape} as {name}, which are no pictures at {len(TIMES)} times"
        )
    return values
