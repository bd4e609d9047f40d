"""Steps along saved models' ODEs, and what is computed on the way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_unet import small_unet
from helpers.waits_for_nothing import WaitsForNothing

from pipeline.diffusion.noise_schedule import noise_schedule_of
from pipeline.flow.noise import step_generator
from pipeline.flow.solvers import euler, heun
from pipeline.models.ode import Ode, ode_of
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student

X_0 = torch.randn(3, 1, 8, 8, generator=step_generator(0, 0))


def times(*values: float) -> list[torch.Tensor]:
    return [torch.full((3,), value) for value in values]


def test_steps_of_a_flow_are_those_of_its_solvers(tiny_unet, runtime, tmp_path: Path) -> None:
    save_student(tiny_unet, tmp_path)
    sampler = load_sampler(tmp_path, runtime)
    ode, field = ode_of(sampler), sampler.velocity_field()
    start, end = times(0.25, 0.75)
    for step, solver in ((ode.euler, euler), (ode.heun, heun)):
        with torch.no_grad():
            expected = solver(field, X_0, (0.25, 0.75)).x
        found = step(X_0, start, end)
        torch.testing.assert_close(found, expected)
        assert not found.requires_grad
    assert sampler.calls.forward == 3 * 2 * (1 + 2)
    assert sampler.calls.backward == 0


def test_noise_enters_a_teacher_as_its_sampling_does(tiny_unet, runtime, tmp_path: Path) -> None:
    save_teacher(tiny_unet, tmp_path, training_scheduler())
    sampler = load_sampler(tmp_path, runtime)
    ode, (first, _) = ode_of(sampler), sampler.time_range()
    assert first > 0
    with torch.no_grad():
        expected = euler(sampler.velocity_field(), sampler.trajectory_start(X_0), (first, 0.5)).x
    torch.testing.assert_close(ode.euler(X_0, *times(0, 0.5)), expected)


def test_samples_step_from_and_to_times_of_their_own() -> None:
    """dx/dt = 2 t x: a step h multiplies by 1 + 2 t h, or by 1 + h (t + (t + h)(1 + 2 t h)) of Heun's."""
    ode = Ode(lambda x, t, _: 2 * t[:, None] * x)
    x, t, end = torch.ones(3, 1), torch.tensor([0.0, 0.25, 0.5]), torch.tensor([0.5, 0.5, 0.75])
    assert ode.euler(x, t, end).flatten().tolist() == [1.0, 1.125, 1.25]
    h = end - t
    torch.testing.assert_close(ode.heun(x, t, end).flatten(), 1 + h * (t + (t + h) * (1 + 2 * t * h)))


def test_heuns_last_step_needs_no_velocity_of_an_image() -> None:
    """dx/dt = 1 / (1 - t) has none at t = 1: the step 1/2 from t = 1/2 is Euler's, 1/2 · 2."""
    ode = Ode(lambda x, t, _: (1 / (1 - t))[:, None].expand_as(x))
    x, t, end = torch.zeros(2, 1), torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.5])
    assert ode.heun(x, t, end).flatten().tolist() == [1.0, 0.5 * 0.5 * (1 + 2)]


def test_heun_does_not_ask_a_teacher_after_its_last_level(tiny_unet, runtime, tmp_path: Path) -> None:
    save_teacher(tiny_unet, tmp_path, training_scheduler())
    ode = ode_of(load_sampler(tmp_path, runtime))
    # Linear betas from 1e-4 (Ho et al. 2020): √(1 - 1e-4) of the image and √1e-4 of noise.
    alpha, sigma = (1 - 1e-4) ** 0.5, 1e-4**0.5
    assert ode.last_time == pytest.approx(alpha / (alpha + sigma))
    after = times(0.5, 0.995)
    torch.testing.assert_close(ode.heun(X_0, *after), ode.euler(X_0, *after), rtol=0, atol=0)
    assert not torch.allclose(ode.heun(X_0, *times(0.5, 0.98)), ode.euler(X_0, *times(0.5, 0.98)))


@pytest.mark.parametrize("t", [0.0, 0.001, 0.3, 0.5, 0.99, 1.0])
def test_a_teachers_timestep_is_interpolated_on_the_device(t: float) -> None:
    schedule = noise_schedule_of(training_scheduler())
    with WaitsForNothing():
        found = schedule.at(torch.tensor([t]))[2]
    near = float(np.float32(t))
    wanted = math.inf if t == 0 else -math.inf if t == 1 else math.log((1 - near) / near)
    expected = np.interp(wanted, -schedule.log_ratio, schedule.time)
    assert float(found) == pytest.approx(float(expected), rel=1e-6, abs=1e-6)


def test_labels_reach_a_class_conditional_model(runtime, tmp_path: Path) -> None:
    save_student(small_unet(num_class_embeds=2), tmp_path)
    ode = ode_of(load_sampler(tmp_path, runtime))
    found = [ode.euler(X_0, *times(0, 1), torch.full((3,), label)) for label in (0, 1)]
    assert not torch.allclose(*found)
