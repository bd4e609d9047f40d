"""Guidance in closed form: the classes of a mixture of Gaussians, and no class, the mixture itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from pipeline.config.guidance import GuidanceConfig
from pipeline.config.solver import SolverConfig
from pipeline.diffusion.guidance import Guidance
from pipeline.diffusion.noise_schedule import NoiseSchedule, noise_schedule_of
from pipeline.diffusion.teacher import Teacher, generate
from pipeline.flow.paths import per_sample
from pipeline.models.inversion import invert_teacher
from pipeline.models.student import guided_velocity

MEANS, STD, NULL = torch.tensor([-1.0, 0.2, 1.5], dtype=torch.float64), 0.3, 3
X = torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(6, 2, 1, 1)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
SCHEDULE = noise_schedule_of(DDPMScheduler(clip_sample=False))


def log_density(x: torch.Tensor, label: int, alpha: float, sigma: float) -> torch.Tensor:
    """log p(x | class) of every pixel of alpha x_1 + sigma ε, or log p(x) for the null class, up to constants."""
    scale = (alpha * STD) ** 2 + sigma**2
    each = -((x[..., None] - alpha * MEANS) ** 2) / (2 * scale)
    return each.logsumexp(-1) if label == NULL else each[..., label]


def score(x: torch.Tensor, labels: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    rows = zip(x, labels.tolist(), alpha.tolist(), sigma.tolist(), strict=True)
    return torch.stack([gradient(lambda z, c=c, a=a, s=s: log_density(z, c, a, s), row) for row, c, a, s in rows])


def gradient(log_p, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(log_p(x).sum(), x)[0]


class ExactNoise(torch.nn.Module):
    """Predicts ε = -sigma ∇ log p(x | class), and counts its calls and rows."""

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.rows: list[int] = []

    def forward(self, x: torch.Tensor, time: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
        self.rows.append(len(x))
        index = time.round().long()
        alpha, sigma = (torch.from_numpy(values)[index] for values in (self.schedule.alpha, self.schedule.sigma))
        return SimpleNamespace(sample=-per_sample(sigma, x) * score(x, labels, alpha, sigma))


def guidance(scale: float, *interval: float) -> Guidance:
    return Guidance(GuidanceConfig(scale=scale, **{"interval": interval} if interval else {}), NULL)


@pytest.mark.parametrize("scale", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("index", [50, 400, 900])
def test_the_guided_score_is_that_of_the_tilted_density(scale: float, index: int) -> None:
    # ∇ log(p(x | c)^w p(x)^(1 - w)), Ho & Salimans 2022, sec. 3.2, from which Tweedie's formula gives x̂_1.
    network = ExactNoise(SCHEDULE)
    node = SCHEDULE.node(index)

    def tilted(row: torch.Tensor, label: int) -> torch.Tensor:
        of_class, of_all = (log_density(row, c, node.alpha, node.sigma) for c in (label, NULL))
        return scale * of_class + (1 - scale) * of_all

    exact = torch.stack([gradient(lambda z, c=c: tilted(z, c), row) for row, c in zip(X, LABELS.tolist(), strict=True)])
    teacher = Teacher(network, SCHEDULE, LABELS, guidance(scale))
    expected = (X + node.sigma**2 * exact) / node.alpha
    assert torch.allclose(teacher.estimate(X, node), expected, rtol=1e-6, atol=1e-6)
    assert (teacher.nfe, network.rows) == (2, [2 * len(X)])  # one batch of both


def test_each_evaluation_within_the_interval_counts_as_two() -> None:
    network, solver = ExactNoise(SCHEDULE), SolverConfig(name="ddim", num_steps=10)
    times = [node.t for node in SCHEDULE.nodes(10)[:-1]]
    inside = [0.1 <= t <= 0.5 for t in times]
    assert 0 < sum(inside) < 10
    solution = generate(network, SCHEDULE, X, solver, LABELS, guidance(2.0, 0.1, 0.5))
    assert network.rows == [2 * len(X) if guided else len(X) for guided in inside]
    assert solution.nfe == 10 + sum(inside)
    network.rows.clear()
    assert invert_teacher(network, SCHEDULE, X, X, solver, LABELS, guidance(2.0)).nfe == 20
    assert network.rows == [2 * len(X)] * 10


def test_samples_of_one_batch_are_guided_by_their_own_times() -> None:
    network = ExactNoise(SCHEDULE)
    t = torch.tensor([0.2, 0.2, 0.2, 0.8, 0.8, 0.8], dtype=torch.float64)
    found = Teacher(network, SCHEDULE, LABELS, guidance(3.0, 0.5, 1.0)).velocity(X, t)
    for scale, rows in ((None, slice(0, 3)), (guidance(3.0), slice(3, 6))):
        expected = Teacher(network, SCHEDULE, LABELS[rows], scale).velocity(X[rows], t[rows])
        assert torch.allclose(found[rows], expected)


class ExactNoiseOfGaussian(torch.nn.Module):
    """Predicts ε = sigma x / (alpha² std² + sigma²) for data N(0, std²), beside a variance, which is of no account."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> SimpleNamespace:
        # Between whole times as the schedule is: log(alpha / sigma) linear, alpha² + sigma² = 1.
        tau = torch.from_numpy(np.exp(-np.interp(time, np.arange(1000), SCHEDULE.log_ratio)))
        alpha = 1 / (1 + tau**2).sqrt()
        noise = per_sample(alpha * tau / (alpha**2 * (self.std**2 + tau**2)), x) * x
        return SimpleNamespace(sample=torch.cat([noise, torch.full_like(x, 9.0)], 1))


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("labels", [None, LABELS])
def test_the_autoguided_ode_of_two_gaussians_is_solved_in_closed_form(scale: float, labels, monkeypatch) -> None:
    """Karras et al. 2024, eq. 3: ∇ log of p_guide (p / p_guide)^w, for p = N(0, a²) and a broader guide, N(0, b²).

    With y = x / alpha and τ = sigma / alpha the ODE dy/dτ = ε̂ is y τ (w / (a² + τ²) + (1 - w) / (b² + τ²)), so that y
    is proportional to (a² + τ²)^(w/2) (b² + τ²)^((1-w)/2).
    """
    a, b = 0.5, 0.9
    network, guide = ExactNoiseOfGaussian(a), ExactNoiseOfGaussian(b)
    for each in (network, guide) if labels is not None else ():  # both are asked for the classes
        monkeypatch.setattr(each, "forward", lambda x, time, _labels, of=each.forward: of(x, time))
    first, last = SCHEDULE.node(-1), SCHEDULE.node(0)
    tau, least = first.sigma / first.alpha, last.sigma / last.alpha

    def y(tau: float) -> float:
        return (a**2 + tau**2) ** (scale / 2) * (b**2 + tau**2) ** ((1 - scale) / 2)

    solver = SolverConfig(name="dopri5", rtol=1e-7, atol=1e-7)
    guidance = Guidance(GuidanceConfig(scale=scale, by="guide"), guide)
    solution = generate(network, SCHEDULE, X, solver, labels, guidance)
    at_least = X / first.alpha * y(least) / y(tau)
    noise = at_least * least * (scale / (a**2 + least**2) + (1 - scale) / (b**2 + least**2))
    torch.testing.assert_close(solution.x, at_least - least * noise, rtol=1e-4, atol=1e-6)
    assert solution.nfe % 2 == 0


def test_a_guide_is_called_within_the_interval_alone_and_counts_as_one() -> None:
    network, guide, solver = ExactNoise(SCHEDULE), ExactNoise(SCHEDULE), SolverConfig(name="ddim", num_steps=10)
    inside = [0.1 <= node.t <= 0.5 for node in SCHEDULE.nodes(10)[:-1]]
    config = GuidanceConfig(scale=2.0, interval=(0.1, 0.5), by="guide")
    solution = generate(network, SCHEDULE, X, solver, LABELS, Guidance(config, guide))
    assert network.rows == [len(X)] * 10
    assert guide.rows == [len(X)] * sum(inside)
    assert solution.nfe == 10 + sum(inside)


def test_a_flow_is_guided_along_its_velocity() -> None:
    class Constant(torch.nn.Module):
        """x_0 - x_1 of a flow whose velocity is the class's number, and 10 for the null class."""

        def forward(self, x: torch.Tensor, _time: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
            speed = torch.where(labels == NULL, 10.0, labels.double())
            return SimpleNamespace(sample=-per_sample(speed, x).expand_as(x))

    t = torch.tensor([0.1, 0.1, 0.1, 0.9, 0.9, 0.9], dtype=torch.float64)
    found = guided_velocity(Constant(), X, t, LABELS, guidance(1.5, 0.0, 0.5))
    expected = [10 + 1.5 * (c - 10) for c in (0, 1, 2)] + [0, 1, 2]
    assert found[:, 0, 0, 0].tolist() == pytest.approx(expected)
