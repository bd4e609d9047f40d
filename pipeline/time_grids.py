"""Time grids of fixed-step solvers: increasing times from exactly 0 (noise) to exactly 1 (image)."""

from __future__ import annotations

import math
from collections.abc import Callable

EDM_SIGMA_MAX, EDM_SIGMA_MIN, EDM_RHO = 80.0, 0.002, 7.0


def uniform_grid(num_steps: int) -> tuple[float, ...]:
    """The num_steps + 1 times 0, 1/num_steps, …, 1."""
    return tuple(step / num_steps for step in range(num_steps + 1))


def cosine_grid(num_steps: int) -> tuple[float, ...]:
    """t_i = (1 - cos(π i / num_steps)) / 2: short steps at both ends, where learned fields bend most."""
    return (0.0, *(0.5 * (1 - math.cos(math.pi * step / num_steps)) for step in range(1, num_steps)), 1.0)


def edm_grid(num_steps: int) -> tuple[float, ...]:
    """The noise levels of Karras et al. 2022 (eq. 5, ρ = 7, σ from 80 to 0.002, then 0) as rectified-flow times.

    x_t = (1 - t) x_0 + t x_1 has the noise-to-signal ratio σ = (1 - t)/t, so t = 1/(1 + σ). The first time is 0 and
    not 1/81, since a rectified flow starts from pure noise.
    """
    start, end = EDM_SIGMA_MAX ** (1 / EDM_RHO), EDM_SIGMA_MIN ** (1 / EDM_RHO)
    shares = [step / (num_steps - 1) for step in range(1, num_steps)] if num_steps > 1 else []
    sigmas = [(start + share * (end - start)) ** EDM_RHO for share in shares]
    return (0.0, *(1 / (1 + sigma) for sigma in sigmas), 1.0)


TIME_GRIDS: dict[str, Callable[[int], tuple[float, ...]]] = {
    "uniform": uniform_grid,
    "cosine": cosine_grid,
    "edm": edm_grid,
}
