"""No solve of an ODE ends in a library's own words, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from pipeline.config.solver import SolverConfig
from pipeline.diffusion.noise_schedule import noise_schedule_of
from pipeline.diffusion.teacher import generate
from pipeline.flow.adaptive import MOST_STEPS, integrate_dopri5
from pipeline.flow.solvers import dopri5, solve
from pipeline.metrics.likelihood import log_likelihood
from pipeline.models.inversion import invert_student, invert_teacher
from pipeline.models.pretrained import training_scheduler
from pipeline.system.errors import StraightflowError

X = torch.linspace(-1, 1, 8).reshape(2, 1, 2, 2)
DOPRI5 = SolverConfig(name="dopri5", rtol=1e-5, atol=1e-5)

FIELDS: dict[str, tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], str]] = {
    "nan": (lambda x, _: x * math.nan, "finite velocity at t ="),
    "infinity": (lambda x, _: x / 0, "finite velocity at t ="),
    "infinity on the way": (
        lambda x, t: x * torch.where((t > 0.4) & (t < 0.6), math.inf, 1.0).reshape(-1, 1, 1, 1),
        r"finite velocity at t = 0\.[45]",
    ),
    "beyond float32": (lambda x, _: x * 1e38, "dopri5 can follow"),
    "explosion before the end": (lambda x, _: 1e3 * x * x.abs(), "dopri5 can follow"),
    "too rough": (lambda x, _: 1e3 * torch.sign(torch.sin(1e7 * x)), f"in {MOST_STEPS:,} steps"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_cannot_be_solved_is_told_in_one_message(name: str) -> None:
    field, message = FIELDS[name]
    with pytest.raises(StraightflowError, match=message):
        solve(field, X, DOPRI5)


@pytest.mark.parametrize("name", ["nan", "infinity", "beyond float32"])
def test_a_likelihood_that_cannot_be_had_is_told_in_one_message(name: str) -> None:
    with pytest.raises(StraightflowError, match=r"finite velocity at t|dopri5 can follow from t = 1 to 0"):
        log_likelihood(FIELDS[name][0], X)


def test_a_network_that_is_not_finite_is_told_in_sampling_and_inversion() -> None:
    class Output:
        sample = torch.full_like(X, math.nan)

    schedule = noise_schedule_of(training_scheduler())
    for attempt in (
        lambda: generate(lambda *_: Output, schedule, X, DOPRI5),
        lambda: invert_teacher(lambda *_: Output, schedule, X, X, DOPRI5),
        lambda: invert_student(lambda x, _: x * math.nan, X, X, DOPRI5),
    ):
        with pytest.raises(StraightflowError, match="finite velocity at t ="):
            attempt()


@pytest.mark.parametrize("start", [math.nan, math.inf])
def test_a_start_that_is_not_finite_is_told(start: float) -> None:
    with pytest.raises(StraightflowError, match="finite state to solve from"):
        dopri5(lambda x, _: -x, torch.full_like(X, start), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tolerance", [1e-14, 1e-30, 1e-300])
def test_tolerances_that_float32_cannot_keep_end_in_time(tolerance: float) -> None:
    with pytest.raises(StraightflowError, match="raise rtol and atol"):
        dopri5(lambda x, _: torch.cos(7 * x), X, rtol=tolerance, atol=tolerance)


def test_what_can_be_solved_is_solved_both_ways() -> None:
    start = (X.double(), torch.zeros(2, dtype=torch.float64))
    x, integral = integrate_dopri5(lambda t, state: (-state[0], t.expand(2)), start, (0.0, 1.0), rtol=1e-9, atol=1e-9)
    assert torch.allclose(x, X.double() * math.exp(-1), atol=1e-8)  # of dx/dt = -x
    assert torch.allclose(integral, torch.tensor(0.5, dtype=torch.float64), atol=1e-8)  # of t
    (back,) = integrate_dopri5(lambda _, state: (-state[0],), (x,), (1.0, 0.0), rtol=1e-9, atol=1e-9)
    assert torch.allclose(back, X.double(), atol=1e-8)
