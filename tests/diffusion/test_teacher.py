"""Teachers of every kind as exact maps: networks that know the best answer for Gaussian images."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EDMEulerScheduler, ScoreSdeVeScheduler

from pipeline.config.solver import SolverConfig
from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.diffusion.teacher import Teacher, generate
from pipeline.flow.paths import per_sample
from pipeline.system.errors import StraightflowError

MEAN, STD = 0.4, 0.5
X_0 = torch.linspace(-2, 2, 16).reshape(4, 1, 2, 2)


def alphas_cumprod(beta_schedule: str, *, zero_snr: bool) -> np.ndarray:
    """Written out from the papers, to compare with what is read from a saved scheduler."""
    if beta_schedule == "linear":  # Ho et al. 2020, sec. 4
        result = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    elif beta_schedule == "scaled_linear":  # latent diffusion
        result = np.cumprod(1 - np.linspace(1e-4**0.5, 0.02**0.5, 1000) ** 2)
    else:  # Nichol & Dhariwal 2021, eq. 17
        level = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
        result = np.cumprod(1 - np.minimum(1 - level[1:] / level[:-1], 0.999))
    if zero_snr:  # Lin et al. 2024, alg. 1
        root = np.sqrt(result)
        result = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return result


@dataclass
class Process:
    """A forward process, its saved scheduler, and the exact network of Gaussian images under it."""

    config: dict[str, object]
    alpha: np.ndarray
    sigma: np.ndarray
    output: Callable[..., torch.Tensor]

    def level(self, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Alpha and sigma at continuous indices."""
        index = np.arange(len(self.alpha))
        angle = np.interp(time.double().numpy(), index, np.arctan2(self.sigma, self.alpha))
        return torch.from_numpy(np.cos(angle)), torch.from_numpy(np.sin(angle))

    def network(self, x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        alpha, sigma = (per_sample(values, x) for values in self.level(torch.as_tensor(time).expand(len(x))))
        x_1 = MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)
        output = self.output(x.double(), x_1, alpha, sigma)
        return SimpleNamespace(sample=output.to(x.dtype))

    def images(self, x_0: torch.Tensor) -> torch.Tensor:
        """The flow from N(0, 1) at the noisiest level to N(MEAN, STD²), affine in every pixel."""
        alpha, sigma = self.alpha[-1], self.sigma[-1]
        return MEAN + STD * (x_0 - alpha * MEAN) / math.hypot(alpha * STD, sigma)


OUTPUTS: dict[str, Callable[..., torch.Tensor]] = {
    "epsilon": lambda x, x_1, alpha, sigma: (x - alpha * x_1) / sigma,
    "v_prediction": lambda x, x_1, alpha, sigma: alpha * (x - alpha * x_1) / sigma - sigma * x_1,
    "sample": lambda _x, x_1, _alpha, _sigma: x_1,
}
PROCESSES = [
    (prediction, betas, zero_snr)
    for prediction in OUTPUTS
    for betas in ("linear", "scaled_linear", "squaredcos_cap_v2")
    for zero_snr in (False, True)
    if not (prediction == "epsilon" and zero_snr)
]


def process(prediction: str = "epsilon", betas: str = "linear", zero_snr: bool = False) -> Process:
    scheduler = DDPMScheduler(prediction_type=prediction, beta_schedule=betas, rescale_betas_zero_snr=zero_snr)
    level = alphas_cumprod(betas, zero_snr=zero_snr)
    if prediction == "epsilon":
        # lambda_min_clipped that diffusers advises for cosine betas; the others end before.
        level = level[0.5 * np.log(level / (1 - level)) >= -5.1]
    return Process(json.loads(scheduler.to_json_string()), np.sqrt(level), np.sqrt(1 - level), OUTPUTS[prediction])


def solve(teacher: Process, name: str, num_steps: int | None = None, tolerance: float | None = None):
    solver = SolverConfig(name=name, num_steps=num_steps, rtol=tolerance, atol=tolerance)
    return generate(teacher.network, read_noise_schedule(teacher.config), X_0, solver)


@pytest.mark.parametrize(("prediction", "betas", "zero_snr"), PROCESSES)
def test_the_schedule_is_read_as_written_in_the_papers(prediction: str, betas: str, zero_snr: bool) -> None:
    teacher = process(prediction, betas, zero_snr)
    schedule = read_noise_schedule(teacher.config)
    assert len(schedule.alpha) == (996 if (prediction, betas) == ("epsilon", "squaredcos_cap_v2") else 1000)
    assert np.allclose(schedule.alpha, teacher.alpha, rtol=1e-4, atol=1e-6)
    assert np.allclose(schedule.sigma, teacher.sigma, rtol=3e-3)  # diffusers accumulates in float32
    assert (schedule.alpha[-1] == 0) == zero_snr


@pytest.mark.parametrize(("prediction", "betas", "zero_snr"), PROCESSES)
@pytest.mark.parametrize(
    ("solver", "settings", "nfe", "error"),
    [
        ("ddim", {"num_steps": 1000}, 1000, 4e-3),
        ("dpmpp_2m", {"num_steps": 100}, 100, 2e-3),
        ("unipc", {"num_steps": 100}, 100, 2e-3),
        ("heun", {"num_steps": 100}, 199, 6e-3),
        ("dopri5", {"tolerance": 1e-6}, None, 4e-4),
    ],
)
def test_every_solver_finds_the_exact_image(
    prediction: str, betas: str, zero_snr: bool, solver: str, settings: dict[str, float], nfe: int | None, error: float
) -> None:
    # What is left at a tolerance of 1e-6 is the last estimate, of a pixel with the least trained noise in it.
    teacher = process(prediction, betas, zero_snr)
    if settings.get("num_steps") == 1000:
        settings, nfe = {"num_steps": len(teacher.alpha)}, len(teacher.alpha)
    solution = solve(teacher, solver, **settings)
    assert (solution.x - teacher.images(X_0)).abs().max() < error
    assert solution.nfe == nfe if nfe else 20 < solution.nfe < 300


@pytest.mark.parametrize("betas", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("solver", ["ddim", "unipc"])
def test_rounding_of_predicted_noise_to_bfloat16_does_not_reach_the_image(betas: str, solver: str) -> None:
    teacher = process("epsilon", betas)

    def rounded(x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=teacher.network(x, time).sample.bfloat16().to(x.dtype))

    settings = SolverConfig(name=solver, num_steps=20)
    schedule = read_noise_schedule(teacher.config)
    exact = generate(teacher.network, schedule, X_0, settings).x
    found = generate(rounded, schedule, X_0, settings).x
    assert (found - exact).square().mean().sqrt() < 0.05 * STD


def test_ddim_converges_to_the_closed_form_at_first_order() -> None:
    # 80, 160 and 320: two of them do not divide the 1,000 training steps.
    teacher = process()
    errors = [(solve(teacher, "ddim", steps).x - teacher.images(X_0)).abs().max().item() for steps in (80, 160, 320)]
    assert [errors[0] / errors[1], errors[1] / errors[2]] == pytest.approx([2, 2], rel=0.15)


def test_ddim_is_the_stock_scheduler_where_its_steps_meet() -> None:
    teacher = process()
    stock = DDIMScheduler.from_config(teacher.config, timestep_spacing="trailing", clip_sample=False)
    stock.set_timesteps(20)
    x = X_0
    for timestep in stock.timesteps:
        x = stock.step(teacher.network(x, timestep).sample, timestep, x).prev_sample
    assert torch.allclose(solve(teacher, "ddim", 20).x, x, atol=1e-4)


@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m", "unipc", "heun"])
@pytest.mark.parametrize("steps", [1, 4, 16])
def test_nothing_is_clipped_and_sampling_starts_at_the_noisiest_level(solver: str, steps: int) -> None:
    config = process().config | {"clip_sample": True, "timestep_spacing": "leading", "thresholding": True}
    schedule = read_noise_schedule(config)
    assert schedule.nodes(steps)[0].time == 999

    def leads_to_three(x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        index = int(time[0])
        return SimpleNamespace(sample=(x - 3 * float(schedule.alpha[index])) / float(schedule.sigma[index]))

    solution = generate(leads_to_three, schedule, X_0, SolverConfig(name=solver, num_steps=steps))
    assert torch.allclose(solution.x, torch.full_like(X_0, 3.0), atol=2e-3)


@pytest.mark.parametrize(("prediction", "betas", "zero_snr"), PROCESSES)
def test_velocity_on_the_straight_axis_is_that_of_the_linear_interpolation(
    prediction: str, betas: str, zero_snr: bool
) -> None:
    teacher = process(prediction, betas, zero_snr)
    t = torch.tensor([0.1, 0.4, 0.7, 0.95])
    time = per_sample(t, X_0)
    variance = (1 - time) ** 2 + (time * STD) ** 2
    exact = MEAN + (time * STD**2 - (1 - time)) / variance * (X_0 - time * MEAN)
    velocity = Teacher(teacher.network, read_noise_schedule(teacher.config)).velocity(X_0, t)
    assert torch.allclose(velocity, exact, atol=2e-3)


VE_CONFIG = dict(ScoreSdeVeScheduler(sigma_max=80.0).config) | {"_class_name": "ScoreSdeVeScheduler"}


def exact_score(x: torch.Tensor, scale: torch.Tensor) -> SimpleNamespace:
    """The score of images N((MEAN + 1) / 2, (STD / 2)²) in [0, 1] with noise of this scale."""
    scale = per_sample(scale, x)
    return SimpleNamespace(sample=-(x - (MEAN + 1) / 2) / ((STD / 2) ** 2 + scale**2))


@pytest.mark.parametrize(
    ("solver", "settings"),
    [("ddim", {"num_steps": 2000}), ("unipc", {"num_steps": 200}), ("heun", {"num_steps": 200}),
     ("dopri5", {"rtol": 1e-6, "atol": 1e-6})],
)  # fmt: skip
def test_a_variance_exploding_teacher_finds_the_exact_image(solver: str, settings: dict[str, float]) -> None:
    solution = generate(exact_score, read_noise_schedule(VE_CONFIG), X_0, SolverConfig(name=solver, **settings))
    largest = 2 * 80.0  # on images in [-1, 1]
    exact = MEAN + STD * (largest * X_0 - MEAN) / math.hypot(STD, largest)
    assert (solution.x - exact).abs().max() < 6e-3


def edm_config(**changes: object) -> dict[str, object]:
    return json.loads(EDMEulerScheduler(**changes).to_json_string())


def exact_edm_network(sigma_data: float, sign: float) -> Callable[..., SimpleNamespace]:
    """F of Karras et al. 2022, eq. 7, for images N(MEAN, STD²): what makes x̂_1 the mean of x_1 given x."""

    def network(seen: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        sigma = per_sample(torch.exp(4 * time.double()), seen)  # c_noise = ln(σ) / 4
        norm = (sigma**2 + sigma_data**2).sqrt()
        x = seen.double() * norm  # c_in = 1 / norm
        x_1 = MEAN + STD**2 / (STD**2 + sigma**2) * (x - MEAN)
        output = (x_1 - sigma_data**2 / norm**2 * x) / (sigma * sigma_data / norm)
        return SimpleNamespace(sample=(sign * output).to(seen.dtype))

    return network


@pytest.mark.parametrize(
    ("solver", "settings", "error"),
    [("ddim", {"num_steps": 1000}, 4e-3), ("dpmpp_2m", {"num_steps": 100}, 2e-3), ("unipc", {"num_steps": 100}, 1e-3),
     ("heun", {"num_steps": 100}, 2e-3), ("unipc", {"num_steps": 100, "grid": "quadratic"}, 1e-2),
     ("dopri5", {"rtol": 1e-6, "atol": 1e-6}, 2e-3)],
)  # fmt: skip
@pytest.mark.parametrize(("prediction", "sigma_data", "sign"), [("epsilon", 0.5, 1.0), ("v_prediction", 1.0, -1.0)])
def test_a_preconditioned_teacher_finds_the_exact_image(
    prediction: str, sigma_data: float, sign: float, solver: str, settings: dict, error: float
) -> None:
    schedule = read_noise_schedule(edm_config(prediction_type=prediction, sigma_data=sigma_data))
    network = exact_edm_network(sigma_data, sign)
    solution = generate(network, schedule, X_0, SolverConfig(name=solver, **settings))
    exact = MEAN + STD * (math.hypot(80, 1) * X_0 - MEAN) / math.hypot(STD, 80)
    assert (solution.x - exact).abs().max() < error


def test_a_preconditioned_teachers_velocity_is_that_of_the_linear_interpolation() -> None:
    t = torch.tensor([0.05, 0.4, 0.7, 0.95])
    time = per_sample(t, X_0)
    exact = MEAN + (time * STD**2 - (1 - time)) / ((1 - time) ** 2 + (time * STD) ** 2) * (X_0 - time * MEAN)
    teacher = Teacher(exact_edm_network(0.5, 1.0), read_noise_schedule(edm_config()))
    assert torch.allclose(teacher.velocity(X_0, t), exact, atol=1e-4)


@pytest.mark.parametrize("num_steps", [2, 18, 40])
def test_preconditioned_teachers_are_sampled_at_the_levels_of_the_paper(num_steps: int) -> None:
    # Karras et al. 2022, eq. 5.
    levels = [(80 ** (1 / 7) + i / (num_steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(num_steps)]
    *nodes, image = read_noise_schedule(edm_config()).nodes(num_steps)
    assert [node.sigma for node in nodes] == pytest.approx(levels)
    assert [node.time for node in nodes] == pytest.approx([math.log(level) / 4 for level in levels])
    assert image.sigma == 0


@pytest.mark.parametrize(
    "changes",
    [{"sigma_data": 0}, {"sigma_data": None}, {"rho": 0.5}, {"rho": "7"}, {"sigma_schedule": "linear"},
     {"sigma_min": 80.0}, {"prediction_type": "sample"}, {"num_train_timesteps": 2}, {"beta_start": 0.1}],
)  # fmt: skip
def test_settings_of_a_preconditioned_network_that_do_not_hold_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StraightflowError, match=next(iter(changes))):
        read_noise_schedule(edm_config() | changes)


def test_of_a_learned_variance_head_the_mean_is_used() -> None:
    teacher = process()

    def with_variance(x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        mean = teacher.network(x, time).sample
        return SimpleNamespace(sample=torch.cat([mean, torch.full_like(mean, 1e9)], dim=1))

    schedule, solver = read_noise_schedule(teacher.config), SolverConfig(name="unipc", num_steps=8)
    assert torch.equal(
        generate(with_variance, schedule, X_0, solver).x, generate(teacher.network, schedule, X_0, solver).x
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"_class_name": "LCMScheduler"}, "LCMScheduler"),
        (process().config | {"prediction_type": "flow_prediction"}, "flow_prediction"),
        (process().config | {"rescale_betas_zero_snr": True}, "zero terminal"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(config: dict[str, object], message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        read_noise_schedule(config)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 100, 1000])
def test_quadratic_nodes_fall_from_the_noisiest_level_to_the_image_and_never_repeat(num_steps: int) -> None:
    schedule = read_noise_schedule(process().config)
    *levels, image = schedule.nodes(num_steps, "quadratic")
    times = [node.time for node in levels]
    assert (len(times), times[0], image.sigma) == (num_steps, 999, 0)
    assert times == sorted(set(times), reverse=True)
    if num_steps == 7:
        assert times == [round(999 * (place / 6) ** 2) for place in range(6, -1, -1)]
    if num_steps < 1000:
        assert [node.time for node in schedule.nodes_to_noise(num_steps, "quadratic")][-1] == 999


def test_more_steps_than_trained_levels_are_refused() -> None:
    with pytest.raises(StraightflowError, match="1000"):
        read_noise_schedule(process().config).nodes(1001)
