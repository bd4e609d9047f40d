"""Trajectories of fields with known solutions, as pictures."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.composition import composed
from helpers.velocity_field import Field, end_of

from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.graph import Config
from pipeline.config.guidance import GuidanceConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.evaluation.cache_names import Machine, drawn_name
from pipeline.evaluation.drawn_trajectories import draw_trajectories
from pipeline.flow.noise import stream_key
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError

TIMES = [0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1]
SEED = 5


def noises(sampler: Sampler) -> torch.Tensor:
    """Of the evaluation, which samples and trajectories share."""
    return sampler.draw(stream_key("evaluation", SEED), range(8))[0]


def student(runtime: Runtime, velocity, shape: tuple[int, ...] = (1, 4, 4)) -> Sampler:
    return Sampler(shape, "0", None, Field(velocity), runtime)


def towards_white(_field, x: torch.Tensor, _t: torch.Tensor, _labels) -> torch.Tensor:
    """dx/dt = 1 - x, so that 1 - x_t = (1 - x_0) e^-t; by N Euler steps each leaves (1 - 1/N) of it."""
    return 1 - x


def assert_pictures(found: np.ndarray, expected: list[torch.Tensor]) -> None:
    """At each time, to one grey level."""
    wanted = np.stack([to_uint8(item).numpy() for item in expected], axis=1)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_an_ode_is_followed_and_each_state_heads_along_its_tangent(runtime: Runtime) -> None:
    sampler = student(runtime, towards_white)
    (found,) = draw_trajectories(sampler, DrawnTrajectories(True, ()), SEED)
    states = [1 - (1 - noises(sampler)) * math.exp(-t) for t in TIMES]
    assert found.num_steps is None
    assert_pictures(found.states, states)
    assert_pictures(found.headings, [x + (1 - t) * (1 - x) for x, t in zip(states, TIMES, strict=True)])


@pytest.mark.parametrize("num_steps", [1, 2, 3, 8])
def test_euler_steps_are_straight_between_their_ends(num_steps: int, runtime: Runtime) -> None:
    sampler = student(runtime, towards_white)
    x_0 = noises(sampler)
    (found,) = draw_trajectories(sampler, DrawnTrajectories(False, (num_steps,)), SEED)
    states, headings = [], []
    for t in TIMES:
        whole, share = divmod(t * num_steps, 1)
        left = (1 - 1 / num_steps) ** whole
        states.append(1 - (1 - x_0) * left * (1 - share / num_steps))
        headings.append(1 - (1 - x_0) * left * (whole / num_steps))
    assert found.num_steps == num_steps
    assert_pictures(found.states, states)
    assert_pictures(found.headings, headings)
    sampled = sampler.sample(x_0, SolverConfig(name="euler", num_steps=num_steps)).x
    assert np.array_equal(found.states[:, -1], to_uint8(sampled).numpy())


def test_a_flow_map_takes_its_own_steps(runtime: Runtime) -> None:
    """With u = r - t a step from t to r adds (r - t)² to every entry."""
    network = Field(lambda _, x, t, label: (end_of(label, x) - t) * torch.ones_like(x))
    sampler = Sampler((1, 4, 4), "0", None, network, runtime, two_times=True)
    x_0 = noises(sampler)
    one, two = draw_trajectories(sampler, DrawnTrajectories(False, (1, 2)), SEED)
    assert_pictures(one.states, [x_0 + t for t in TIMES])
    assert_pictures(two.states, [x_0 + t / 2 for t in TIMES])
    assert_pictures(two.headings, [x_0 + 0.5] * len(TIMES))


class NothingButBlack(torch.nn.Module):
    """A teacher of one image, x_1 = 0."""

    def forward(self, x: torch.Tensor, _time: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=torch.zeros_like(x))


def test_a_diffusion_model_starts_at_noise_and_ends_at_its_last_estimate(runtime: Runtime) -> None:
    content = {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
               "beta_end": 0.012, "num_train_timesteps": 1000, "prediction_type": "sample"}  # fmt: skip
    cumulative = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    alpha, sigma = math.sqrt(cumulative[-1]), math.sqrt(1 - cumulative[-1])
    first_t, start = alpha / (alpha + sigma), 1 / (alpha + sigma)
    teacher = Sampler((1, 4, 4), "0", read_noise_schedule(content), NothingButBlack(), runtime)
    x_0 = noises(teacher)
    (found,) = draw_trajectories(teacher, DrawnTrajectories(True, ()), SEED)
    # Towards the image 0 a state falls linearly.
    between = [x_0 * start * (1 - t) / (1 - first_t) for t in TIMES[1:-1]]
    assert_pictures(found.states, [x_0, *between, torch.zeros_like(x_0)])
    assert_pictures(found.headings, [torch.zeros_like(x_0)] * len(TIMES))


def test_large_images_are_small_pictures_with_noise_as_noisy_as_it_is(runtime: Runtime) -> None:
    sampler = student(runtime, towards_white, (3, 40, 80))
    (found,) = draw_trajectories(sampler, DrawnTrajectories(False, (1,)), SEED)
    assert found.states.shape == (8, len(TIMES), 3, 13, 26)  # a third
    whole = to_uint8(noises(sampler)).numpy()
    assert found.states[:, 0].std() == pytest.approx(whole.std(), rel=0.05)
    assert set(found.states[0, 0, 0].ravel()) <= set(whole[0, 0].ravel())


def test_states_that_are_not_finite_and_points_are_refused(runtime: Runtime) -> None:
    with pytest.raises(StraightflowError, match="found: NaN"):
        draw_trajectories(student(runtime, lambda _, x, *__: x * torch.inf), DrawnTrajectories(False, (2,)), SEED)
    with pytest.raises(StraightflowError, match="a model of images"):
        draw_trajectories(student(runtime, towards_white, (2,)), DrawnTrajectories(False, (2,)), SEED)


def test_what_learned_its_velocity_at_every_time_is_followed_closely() -> None:
    config = Config.model_validate(composed("preset=smoke"))
    drawn = {model: config.drawn_of(model) for model in ("teacher", "round1", "few_step", "round2")}
    assert drawn == {
        "teacher": DrawnTrajectories(True, ()),
        "round1": DrawnTrajectories(True, (1, 2, 4, 8)),  # of reflow
        "few_step": DrawnTrajectories(False, (1, 2, 4, 8)),  # of any number of steps
        "round2": DrawnTrajectories(False, (1,)),  # of one step
    }
    flow = Config.model_validate(composed("preset=toy_smoke"))
    assert flow.drawn_of("flow") == DrawnTrajectories(True, (1, 2, 4, 8))


def test_other_trajectories_have_another_name() -> None:
    machine, guidance = Machine("cpu", "fp32"), GuidanceConfig(scale=2.0)
    drawn = [DrawnTrajectories(True, (1,)), DrawnTrajectories(False, (1,)), DrawnTrajectories(True, (1, 2)),
             DrawnTrajectories(True, (1,), guidance)]  # fmt: skip
    names = {drawn_name("a", machine, item, 0, {}) for item in drawn}
    names |= {drawn_name("b", machine, drawn[0], 0, {}), drawn_name("a", Machine("cuda", "fp32"), drawn[0], 0, {})}
    names |= {drawn_name("a", machine, drawn[0], 1, {}), drawn_name("a", machine, drawn[0], 0, {"code": "1"})}
    assert len(names) == 8
