"""The toy distributions by name: how to sample each, and what is known of it in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from pipeline.toys.gaussian_mixture import GaussianMixture

CELL, HALF_WIDTH = 2.0, 4.0


@dataclass(frozen=True)
class Toy:
    """A distribution of points.

    Attributes:
        dim: Dimension of a point.
        sample: (num, generator) → independent points, (num, dim), float32.
        extent: Bounds of figures, (low, high) on every axis.
        mixture: The distribution as a mixture of Gaussians; None if it is not one.
        inside: Points (num, dim) → whether each lies in the support, (num,); None if the support has no edge.
    """

    dim: int
    sample: Callable[[int, torch.Generator], torch.Tensor]
    extent: tuple[float, float]
    mixture: GaussianMixture | None = None
    inside: Callable[[torch.Tensor], torch.Tensor] | None = None


def checkerboard(num: int, generator: torch.Generator) -> torch.Tensor:
    """Uniform on the eight dark cells, of side 2, of the board [-4, 4]²."""
    row = torch.randint(4, (num,), generator=generator)
    column = 2 * torch.randint(2, (num,), generator=generator) + row % 2
    corner = torch.stack([column, row], dim=1) * CELL - HALF_WIDTH
    return corner + CELL * torch.rand(num, 2, generator=generator)


def in_dark_cell(x: torch.Tensor) -> torch.Tensor:
    """Whether points (num, 2) lie in dark cells of the checkerboard; (num,)."""
    cell = ((x + HALF_WIDTH) / CELL).floor().long()
    dark: torch.Tensor = (cell.sum(dim=1) % 2 == 0) & (x.abs() < HALF_WIDTH).all(dim=1)
    return dark


def two_moons(num: int, generator: torch.Generator) -> torch.Tensor:
    """Two interleaved half circles of radius 2 with noise of standard deviation 0.1."""
    upper = torch.randint(2, (num,), generator=generator).bool()
    angle = math.pi * torch.rand(num, generator=generator)
    arc = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
    points = 2 * torch.where(upper[:, None], arc, -arc)
    return points + 0.1 * torch.randn(num, 2, generator=generator)


def _mixture(means: Sequence[tuple[float, ...]], std: float, extent: tuple[float, float]) -> Toy:
    """Equally weighted Gaussians at ``means``, each with standard deviation ``std``."""
    mixture = GaussianMixture(
        weights=torch.full((len(means),), 1 / len(means)),
        means=torch.tensor(list(means)),
        stds=torch.full((len(means),), std),
    )
    return Toy(mixture.dim, mixture.sample, extent, mixture=mixture)


_CIRCLE = [(4 * math.cos(k * math.pi / 4), 4 * math.sin(k * math.pi / 4)) for k in range(8)]

TOYS: dict[str, Toy] = {
    # The flow to it starts from N((0, -5), I): configs/preset/two_gaussians.yaml.
    "two_gaussians": _mixture([(5.0, 0.0)], 1.0, (-8.5, 8.5)),
    "bimodal_1d": _mixture([(-2.0,), (2.0,)], 0.5, (-4.0, 4.0)),
    "checkerboard": Toy(2, checkerboard, (-4.5, 4.5), inside=in_dark_cell),
    "eight_gaussians": _mixture(_CIRCLE, 0.3, (-5.5, 5.5)),
    "two_moons": Toy(2, two_moons, (-3.5, 3.5)),
}
