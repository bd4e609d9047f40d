"""Solvers of a diffusion model's probability-flow ODE: pure functions of a denoiser, a start state and a grid.

A denoiser is called as ``denoise(x, node)`` and returns its estimate x̂_1. With r = alpha / sigma the ODE is
d(x / sigma) = x̂_1 dr (Lu et al. 2022, prop. 4.1), so every multistep method has the form

    x_there = (sigma_there / sigma_here) x_here + (alpha_there - alpha_here sigma_there / sigma_here) Σ_k w_k x̂_k

with weights that sum to one and depend only on the grid. The weights are plain numbers, so a step costs a few
multiply-adds beyond the network call. The solvers run in both directions, from noise to image and back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from pipeline.diffusion.noise_schedule import Node

Denoiser = Callable[[torch.Tensor, Node], torch.Tensor]


def ddim(denoise: Denoiser, x: torch.Tensor, nodes: Sequence[Node]) -> torch.Tensor:
    """DDIM at eta = 0 (Song et al. 2021, eq. 12): order 1, one evaluation a step.

    Args:
        denoise: Estimates x_1.
        x: State at the first node, (batch, …).
        nodes: Grid; only its last node may be the image.

    Returns:
        State at the last node.
    """
    for here, there in itertools.pairwise(nodes):
        x = _advance(x, here, there, [denoise(x, here)], (1.0,))
    return x


def dpmpp_2m(denoise: Denoiser, x: torch.Tensor, nodes: Sequence[Node]) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, alg. 2): order 2, one evaluation a step.

    The first step, and a step that ends at the image, have order 1. Arguments and result as for :func:`ddim`.
    """
    estimates: list[torch.Tensor] = []  # newest first
    for step, (here, there) in enumerate(itertools.pairwise(nodes)):
        estimates = [denoise(x, here), *estimates[:1]]
        x = _advance(x, here, there, estimates, predictor_weights(nodes[: step + 2], order=2))
    return x


def unipc(denoise: Denoiser, x: torch.Tensor, nodes: Sequence[Node], order: int = 2) -> torch.Tensor:
    """UniPC with B(h) = e^h - 1 on x̂_1 (Zhao et al. 2023, alg. 1 and 2): one evaluation a step.

    A multistep predictor of order ``order`` gives the state at the next node, where the network is evaluated. Before
    the next prediction, a corrector one order higher repeats the step with that estimate. Arguments and result as for
    :func:`ddim`.
    """
    estimates: list[torch.Tensor] = []  # newest first
    corrected = x
    for step, (here, there) in enumerate(itertools.pairwise(nodes)):
        estimates = [denoise(x, here), *estimates[:order]]
        if step > 0:
            weights = corrector_weights(nodes[: step + 1], order)
            corrected = _advance(corrected, nodes[step - 1], here, estimates, weights)
        x = _advance(corrected, here, there, estimates, predictor_weights(nodes[: step + 2], order))
    return x


def heun(denoise: Denoiser, x: torch.Tensor, nodes: Sequence[Node]) -> torch.Tensor:
    """Heun's method in straight-line time: order 2; two evaluations a step, one for a step that ends at the image.

    The point z = x / (alpha + sigma) moves with velocity x̂_1 - ε̂ in t = alpha / (alpha + sigma). Unlike the noise
    level of Karras et al. 2022, alg. 1, t is finite at pure noise. Arguments and result as for :func:`ddim`.
    """

    def velocity(z: torch.Tensor, node: Node) -> torch.Tensor:
        estimate = denoise(z * (node.alpha + node.sigma), node)
        return (estimate - z) / (1 - node.t)  # = x̂_1 - ε̂, since z = (1 - t) ε̂ + t x̂_1

    z = x / (nodes[0].alpha + nodes[0].sigma)
    for here, there in itertools.pairwise(nodes):
        step = there.t - here.t
        slope_here = velocity(z, here)
        predicted = z + step * slope_here
        if there.sigma == 0:
            return predicted
        z = z + 0.5 * step * (slope_here + velocity(predicted, there))
    return z * (nodes[-1].alpha + nodes[-1].sigma)


GRID_SOLVERS: dict[str, Callable[[Denoiser, torch.Tensor, Sequence[Node]], torch.Tensor]] = {
    "ddim": ddim,
    "dpmpp_2m": dpmpp_2m,
    "unipc": unipc,
    "heun": heun,
}


def predictor_weights(nodes: Sequence[Node], order: int) -> tuple[float, ...]:
    """Weights of the past estimates, newest first, for the step from ``nodes[-2]`` to ``nodes[-1]``.

    The order is lower while there are fewer estimates than ``order``, and 1 for a step that ends at the image. Order 2
    sets the single unknown to 1/2, as DPM-Solver++(2M) does; higher orders integrate the interpolating polynomial
    exactly.
    """
    *past, there = nodes
    order = 1 if math.isinf(there.log_ratio) else min(order, len(past))
    if order == 1:
        return (1.0,)
    span, distances = _distances(past[-order:][::-1], there)
    share = np.array([0.5]) if order == 2 else _solve_moments(distances, span)
    return _weights_of(share / distances)


def corrector_weights(nodes: Sequence[Node], order: int) -> tuple[float, ...]:
    """Weights of the past estimates, newest first, for repeating the step from ``nodes[-2]`` to ``nodes[-1]``.

    The newest estimate is the one at ``nodes[-1]``.
    """
    *past, there = nodes
    order = min(order, len(past))
    span, distances = _distances(past[-order:][::-1], there)
    distances = np.append(distances, 1.0)
    share = np.array([0.5]) if order == 1 else _solve_moments(distances, span)
    start, *others = _weights_of(share / distances)
    return (others[-1], start, *others[:-1])


def _distances(past: Sequence[Node], there: Node) -> tuple[float, np.ndarray]:
    """The step's length in log(alpha / sigma), and the older nodes' offsets from its start in step lengths."""
    span = there.log_ratio - past[0].log_ratio
    return span, np.array([(node.log_ratio - past[0].log_ratio) / span for node in past[1:]])


def _solve_moments(distances: np.ndarray, span: float) -> np.ndarray:
    """Solves Σ_k ρ_k d_k^(i-1) = i! h φ_(i+1)(-h) / (e^-h - 1), i = 1 … len(d) (Zhao et al. 2023, eq. 5)."""
    count = len(distances)
    first = np.expm1(-span)
    phi, factorial, right = first / -span - 1, 1.0, np.empty(count)
    for i in range(count):
        right[i] = phi * factorial / first
        factorial *= i + 2
        phi = phi / -span - 1 / factorial
    solution: np.ndarray = np.linalg.solve(np.vander(distances, count, increasing=True).T, right)
    return solution


def _weights_of(slopes: np.ndarray) -> tuple[float, ...]:
    """Weights of the estimates, the one at the step's start first, from the weights of their differences to it."""
    return (float(1 - slopes.sum()), *(float(slope) for slope in slopes))


def _advance(
    x: torch.Tensor, here: Node, there: Node, estimates: Sequence[torch.Tensor], weights: Sequence[float]
) -> torch.Tensor:
    decay = there.sigma / here.sigma
    gain = there.alpha - here.alpha * decay
    result = x * decay
    for estimate, weight in zip(estimates, weights, strict=False):
        result.add_(estimate, alpha=gain * weight)
    return result
