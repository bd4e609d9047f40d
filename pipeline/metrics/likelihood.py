"""Exact log-likelihood of a flow by the instantaneous change of variables."""

from __future__ import annotations

import math

import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.flow.adaptive import State, integrate_dopri5
from pipeline.flow.solvers import Field


def log_likelihood(
    field: Field,
    x_1: torch.Tensor,
    distribution: NoiseConfig = STANDARD_NOISE,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> torch.Tensor:
    """log p_1(x_1) = log p_0(x_0) - ∫ tr(∂v/∂x)(x_t, t) dt along the trajectory that ends in x_1.

    Chen et al. 2018, eq. 8, as in Lipman et al. 2023, app. C, but with the exact trace instead of an estimate. It takes
    one backward pass per dimension of a sample, so it is meant for low dimensions.

    Args:
        field: Differentiable velocity field.
        x_1: Data, (batch, …).
        distribution: Distribution of x_0.
        rtol: Relative tolerance of dopri5.
        atol: Absolute tolerance of dopri5.

    Returns:
        Natural logarithm of the density, (batch,).

    Raises:
        StraightflowError: See :func:`pipeline.flow.adaptive.integrate_dopri5`.
    """

    def dynamics(t: torch.Tensor, state: State) -> State:
        return velocity_and_divergence(field, state[0], t.to(state[0]).expand(len(state[0])))

    start = (x_1, x_1.new_zeros(len(x_1)))
    x_0, integral = integrate_dopri5(dynamics, start, (1.0, 0.0), rtol=rtol, atol=atol)
    # The integral runs from t = 1 to 0, which gives the minus sign.
    result: torch.Tensor = log_noise_density(x_0, distribution) + integral
    return result


def velocity_and_divergence(field: Field, x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """v(x, t), shape of ``x``, and tr(∂v/∂x), (batch,)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        velocity = field(x, t)
        entries = velocity.flatten(1)
        divergence = torch.zeros_like(entries[:, 0])
        for entry in range(entries.shape[1]):
            # Samples are independent of each other, so the gradient of the sum holds each sample's gradient.
            (gradient,) = torch.autograd.grad(entries[:, entry].sum(), x, retain_graph=True)
            divergence = divergence + gradient.flatten(1)[:, entry]
    return velocity.detach(), divergence.detach()


def log_noise_density(x_0: torch.Tensor, distribution: NoiseConfig) -> torch.Tensor:
    """log N(x_0; mean, std² I), (batch,)."""
    standard = ((x_0 - x_0.new_tensor(distribution.mean or (0.0,))) / distribution.std).flatten(1)
    log_scale = standard.shape[1] * (math.log(distribution.std) + 0.5 * math.log(2 * math.pi))
    return -0.5 * standard.square().sum(dim=1) - log_scale
