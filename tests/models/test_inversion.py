"""Inversion of Gaussian images, whose flow to N(0, 1) is affine and known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMScheduler

from pipeline.config.solver import SolverConfig
from pipeline.couplings.noise_normality import noise_normality
from pipeline.diffusion.noise_schedule import noise_schedule_of
from pipeline.diffusion.teacher import generate
from pipeline.models.inversion import STUDENT_LEAST_NOISE, invert_student, invert_teacher
from pipeline.system.errors import StraightflowError

SCHEDULE = noise_schedule_of(DDPMScheduler(prediction_type="v_prediction"))
# The last pixel is the same in all images, as a black margin is.
MEAN = torch.tensor([0.4, -0.2, 0.0, -1.0]).reshape(1, 1, 2, 2)
STD = torch.tensor([0.5, 0.3, 0.1, 0.0]).reshape(1, 1, 2, 2)


def exact_network(x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
    t = torch.from_numpy(SCHEDULE.alpha / (SCHEDULE.alpha + SCHEDULE.sigma))
    index = time.double()
    low = index.floor().long().clamp(max=998)
    at = (1 - (index - low)) * t[low] + (index - low) * t[low + 1]
    alpha, sigma = (values.reshape(-1, 1, 1, 1) for values in SCHEDULE.at(at)[:2])
    x_1 = MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)
    return SimpleNamespace(sample=(alpha * (x - alpha * x_1) / sigma - sigma * x_1).to(x.dtype))


def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    t = t.reshape(-1, 1, 1, 1)
    variance = (1 - t) ** 2 + (t * STD) ** 2
    return MEAN + (t * STD**2 - (1 - t)) / variance * (x - t * MEAN)


def images_and_noise(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x_1 = MEAN + STD * torch.randn(count, 1, 2, 2, generator=generator)
    return x_1, torch.randn(count, 1, 2, 2, generator=generator)


def exact_noise(x_1: torch.Tensor, image_noise: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """Every trajectory stays at the same number of standard deviations from the mean."""
    return (alpha * (x_1 - MEAN) + sigma * image_noise) / (alpha**2 * STD**2 + sigma**2).sqrt()


@pytest.mark.parametrize(
    ("solver", "nfe", "error"),
    [
        ({"name": "ddim", "num_steps": 999}, 999, 0.04),
        ({"name": "dpmpp_2m", "num_steps": 500}, 500, 0.02),
        ({"name": "unipc", "num_steps": 500}, 500, 0.02),
        ({"name": "heun", "num_steps": 500}, 1000, 0.002),
        ({"name": "dopri5", "rtol": 1e-6, "atol": 1e-6}, None, 0.01),
    ],
)
def test_a_teacher_inverts_images_to_the_exact_noise(solver: dict[str, object], nfe: int | None, error: float) -> None:
    x_1, image_noise = images_and_noise(16)
    found = invert_teacher(exact_network, SCHEDULE, x_1, image_noise, SolverConfig(**solver))
    least, most = SCHEDULE.node(0), SCHEDULE.node(-1)
    deviations = exact_noise(x_1, image_noise, least.alpha, least.sigma)
    exact = most.alpha * MEAN + (most.alpha**2 * STD**2 + most.sigma**2).sqrt() * deviations
    assert (found.x - exact).abs().max() < error
    assert found.nfe == nfe if nfe else 20 < found.nfe < 400


@pytest.mark.parametrize(
    "solver", [{"name": "heun", "num_steps": 400, "grid": "cosine"}, {"name": "dopri5", "rtol": 1e-6, "atol": 1e-6}]
)
def test_a_student_inverts_images_to_the_exact_noise(solver: dict[str, object]) -> None:
    x_1, image_noise = images_and_noise(16)
    found = invert_student(velocity, x_1, image_noise, SolverConfig(**solver)).x
    exact = exact_noise(x_1, image_noise, 1 - STUDENT_LEAST_NOISE, STUDENT_LEAST_NOISE)
    assert (found - exact).abs().max() < 5e-4


def test_inverted_noise_is_normal_in_every_pixel_and_leads_back_to_the_image() -> None:
    x_1, image_noise = images_and_noise(4000)
    solver = SolverConfig(name="unipc", num_steps=100, grid="quadratic")
    x_0 = invert_teacher(exact_network, SCHEDULE, x_1, image_noise, solver).x
    normality = noise_normality(x_0)
    assert normality.mean == pytest.approx(0, abs=0.05)
    assert normality.smallest_pixel_variance > 0.9  # the pixel that all images share among them
    assert normality.largest_pixel_variance < 1.1
    back = generate(exact_network, SCHEDULE, x_0, solver).x
    # What is left is the image's own noise, as far as the last estimate of x_1 keeps it.
    assert (back - x_1).square().mean().sqrt() < 1.2 * SCHEDULE.sigma[0]


def test_without_noise_of_its_own_an_image_that_all_share_gives_none_back() -> None:
    x_1, image_noise = images_and_noise(64)
    x_0 = invert_teacher(
        exact_network, SCHEDULE, x_1, 0 * image_noise, SolverConfig(name="unipc", num_steps=100, grid="quadratic")
    ).x
    assert noise_normality(x_0).smallest_pixel_variance < 1e-6


def test_a_solver_of_no_ode_is_refused() -> None:
    with pytest.raises(StraightflowError, match="projection"):
        invert_student(velocity, *images_and_noise(2), SolverConfig(name="projection", num_steps=4))


def test_normality_of_standard_normal_noise() -> None:
    generator = torch.Generator().manual_seed(1)
    normality = noise_normality(torch.randn(4000, 1, 16, 16, generator=generator))
    assert normality.mean == pytest.approx(0, abs=5 / (4000 * 256) ** 0.5)
    assert normality.variance == pytest.approx(1, abs=5 * (2 / (4000 * 256)) ** 0.5)
    assert normality.norm_ratio == pytest.approx(1 - 1 / (4 * 256), abs=0.005)
    assert normality.norm_spread == pytest.approx(0.5**0.5, abs=0.05)
