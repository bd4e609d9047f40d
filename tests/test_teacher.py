from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from pipeline.config import SolverConfig
from pipeline.interpolation import per_sample
from pipeline.solvers import dopri5
from pipeline.teacher import TeacherVelocity, build_scheduler, generate

MEAN, STD = 0.4, 0.5
SCHEDULE = dict(DDPMScheduler(clip_sample=False).config)
ALPHAS = DDPMScheduler(clip_sample=False).alphas_cumprod.double()


class GaussianDenoiser(torch.nn.Module):
    """Exact E[noise | x] when images are N(MEAN, STD²) in every pixel, for continuous timesteps."""

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> SimpleNamespace:
        index = torch.as_tensor(timestep, dtype=torch.float64).expand(len(x)).clamp(0, 999)
        low = index.floor().long().clamp(max=998)
        share = index - low
        log_snr = torch.log(ALPHAS / (1 - ALPHAS))
        alpha_bar = torch.sigmoid((1 - share) * log_snr[low] + share * log_snr[low + 1])
        alpha, sigma = per_sample(alpha_bar.sqrt(), x), per_sample((1 - alpha_bar).sqrt(), x)
        noise = sigma * (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
        return SimpleNamespace(sample=noise.to(x.dtype))


def images(x_0: torch.Tensor) -> torch.Tensor:
    """The probability-flow map from N(0, 1) at the last step to N(MEAN, STD²), affine in one dimension."""
    alpha, variance = ALPHAS[-1].sqrt(), ALPHAS[-1] * STD**2 + 1 - ALPHAS[-1]
    return MEAN + STD * (x_0 - alpha * MEAN) / variance.sqrt()


X_0 = torch.linspace(-2, 2, 16).reshape(4, 1, 2, 2)


def solver_error(solver: str, steps: int) -> float:
    solution = generate(GaussianDenoiser(), SCHEDULE, X_0, SolverConfig(name=solver, num_steps=steps))
    assert solution.nfe == steps
    return (solution.x - images(X_0)).abs().max().item()


def test_ddim_converges_to_the_closed_form_at_first_order() -> None:
    # 80, 160 and 320: two of them do not divide the 1,000 training steps.
    errors = [solver_error("ddim", steps) for steps in (80, 160, 320)]
    assert [errors[0] / errors[1], errors[1] / errors[2]] == pytest.approx([2, 2], rel=0.15)


def test_ddim_is_the_stock_scheduler_where_its_steps_meet() -> None:
    stock = DDIMScheduler.from_config(SCHEDULE, timestep_spacing="trailing", clip_sample=False)
    stock.set_timesteps(20)
    network, x = GaussianDenoiser(), X_0
    for timestep in stock.timesteps:
        x = stock.step(network(x, timestep).sample, timestep, x).prev_sample
    ours = generate(network, SCHEDULE, X_0, SolverConfig(name="ddim", num_steps=20)).x
    assert torch.allclose(ours, x, atol=1e-4)


def test_unipc_is_closer_at_forty_steps_than_ddim_at_two_hundred() -> None:
    assert solver_error("unipc", 40) < solver_error("ddim", 200)


class FarImage(torch.nn.Module):
    """Predicts the noise that leads to an image of 3 everywhere, far outside [-1, 1]."""

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> SimpleNamespace:
        alpha_bar = ALPHAS[int(timestep)]
        return SimpleNamespace(sample=((x.double() - 3 * alpha_bar.sqrt()) / (1 - alpha_bar).sqrt()).float())


@pytest.mark.parametrize("solver", ["ddim", "unipc"])
@pytest.mark.parametrize("steps", [1, 4, 16])
def test_nothing_is_clipped_and_sampling_starts_at_the_noisiest_step(solver: str, steps: int) -> None:
    hostile = SCHEDULE | {"clip_sample": True, "timestep_spacing": "leading", "thresholding": True}
    scheduler = build_scheduler(hostile, solver)
    scheduler.set_timesteps(steps)
    assert int(scheduler.timesteps[0]) == 999
    solution = generate(FarImage(), hostile, X_0, SolverConfig(name=solver, num_steps=steps))
    assert torch.allclose(solution.x, torch.full_like(X_0, 3.0), atol=2e-3)


def test_velocity_on_the_straight_axis_is_that_of_the_linear_interpolation() -> None:
    field = TeacherVelocity(GaussianDenoiser(), SCHEDULE)
    t = torch.tensor([0.1, 0.4, 0.7, 0.95])
    time = per_sample(t, X_0)
    variance = (1 - time) ** 2 + (time * STD) ** 2
    exact = MEAN + (time * STD**2 - (1 - time)) / variance * (X_0 - time * MEAN)
    assert torch.allclose(field(X_0, t), exact, atol=2e-3)


def test_integrating_the_velocity_gives_the_gaussian_map() -> None:
    field = TeacherVelocity(GaussianDenoiser(), SCHEDULE)
    start, end = field.time_range

    def at(time: float) -> float:
        return ((1 - time) ** 2 + (time * STD) ** 2) ** 0.5

    x = X_0.double() * at(start) + start * MEAN
    solution = dopri5(field, x, rtol=1e-6, atol=1e-6, times=(start + 1e-6, end - 1e-6))
    assert torch.allclose(solution.x, X_0.double() * at(end) + end * MEAN, atol=1e-3)
