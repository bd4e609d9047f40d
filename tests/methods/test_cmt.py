"""Optima in closed form, which states are drawn, and the division of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, student_sampler
from helpers.small_training import training_config
from helpers.velocity_field import Field, drawn
from helpers.waits_for_nothing import WaitsForNothing
from pydantic import TypeAdapter, ValidationError

from pipeline.config.flow import LossConfig
from pipeline.config.methods import CmtConfig, FixedStepsConfig, MethodConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.couplings.with_states import WithStates
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import step_generator
from pipeline.flow.paths import per_sample
from pipeline.flow.solvers import solve, time_grid
from pipeline.flow.states import StepStarts
from pipeline.methods.build import build_method
from pipeline.methods.cmt import Cmt
from pipeline.methods.objective import Batch, Objective
from pipeline.system.errors import StraightflowError
from pipeline.toys.gaussian_mixture import GaussianMixture
from pipeline.training.loop import train
from pipeline.training.samples import StepBatches, Subset, micro_batches

CPU = torch.device("cpu")
TIMES = (0.2, 0.5, 0.6, 0.9)
STD = 0.3
SOLVER = SolverConfig(name="rk4", num_steps=8)


def cmt(times: tuple[float, ...] = TIMES, **changes: float) -> Objective:
    return build_method(CmtConfig(**changes), LossConfig(name="l2"), CPU, state_times=times)


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=step_generator(0, 0))


def gaussian_pairs(count: int) -> tuple[Batch, tuple[float, ...]]:
    """Noise, states and ends of the ODE of N(0, STD² I), as a solver of order 4 goes through it, and the states' times.

    Its flow from noise to t is x_0 times the standard deviation at t, hypot(1 - t, t STD).
    """
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 3), torch.tensor([STD]))
    starts, x_0 = StepStarts(SOLVER), noise(count)
    x_1 = solve(starts.of_field(mixture.velocity), x_0, SOLVER).x
    return {"x_0": x_0, "x_1": x_1, "states": starts.states().z}, time_grid(SOLVER)[1:-1]


def left_slope(t: torch.Tensor) -> torch.Tensor:
    """(x_1 - z) / ((1 - t) z), with z = hypot(1 - t, t STD) x_0 and x_1 = STD x_0."""
    return (STD / torch.hypot(1 - t, t * STD) - 1) / (1 - t)


def test_the_optimum_of_a_gaussians_trajectories_has_no_loss_but_rounding() -> None:
    pairs, times = gaussian_pairs(256)
    network = Field(lambda field, x, t, _: (left_slope(t) + field.wrong) * x, wrong=0.0)
    objective = cmt(times)
    batch = drawn(objective, **pairs)
    losses = objective.loss(network, batch)
    losses.mean().backward()
    # States are rounded by up to 2^-11 of themselves, which 1 - t >= 1/8 divides.
    assert losses.max() < (8 * 2**-11 * 4) ** 2
    assert network.wrong.grad.abs() < 1e-3
    assert set(batch["t"].tolist()) == {0.0, *(step / 8 for step in range(1, 8))}


def test_a_wrong_slope_is_mended_by_one_step_of_newtons_method() -> None:
    """At slope + c the loss is (1 - t) c² z² / d, so the gradient by c is twice that over c."""
    pairs, times = gaussian_pairs(256)
    c = 0.4
    network = Field(lambda field, x, t, _: (left_slope(t) + field.wrong) * x, wrong=c)
    objective = cmt(times)
    batch = drawn(objective, **pairs)
    losses, t = objective.loss(network, batch), batch["t"]
    z = torch.hypot(1 - t, t * STD)[:, None] * pairs["x_0"]
    curvature = (1 - t) * z.square().mean(dim=1)
    torch.testing.assert_close(losses, c**2 * curvature, rtol=0.02, atol=2e-5)
    losses.sum().backward()
    assert c - float(network.wrong.grad / (2 * curvature.sum())) == pytest.approx(0, abs=2e-3)


def test_of_states_that_know_nothing_of_the_image_its_mean_is_learned() -> None:
    """E[x_1 | z] is then the mixture's mean m, to which v = (m - z) / (1 - t) leads.

    Its loss is (m - x_1)² / (1 - t), so the best m is a weighted mean of x_1, one step of Newton's method away.
    """
    weights, means, stds = torch.tensor([0.3, 0.7]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.5, 0.8])
    count = 40_000
    x_1 = GaussianMixture(weights, means, stds).sample(count, torch.Generator().manual_seed(0))
    generator = step_generator(0, 0)
    x_0, states = torch.randn(count, 1, generator=generator), torch.randn(count, 2, 1, generator=generator).half()
    network = Field(lambda field, x, t, _: (field.mean - x) / (1 - t), mean=0.0)
    objective = cmt((0.25, 0.5))
    batch = drawn(objective, x_0, x_1, states=states)
    objective.loss(network, batch).sum().backward()
    weight = 1 / (1 - batch["t"])
    learned = -network.mean.grad / (2 * weight.sum())
    mean = (weights * means[:, 0]).sum()
    variance = (weights * (stds.square() + (means[:, 0] - mean).square())).sum()
    standard_error = (variance * weight.square().sum()).sqrt() / weight.sum()
    assert (learned - mean).abs() < 4 * standard_error
    assert standard_error < 0.02


def test_the_network_is_asked_once_at_the_drawn_state_at_its_time_with_its_class() -> None:
    x_0, x_1, labels = noise(64), noise(65)[1:], torch.arange(64) % 3
    states = (x_0[:, None] + torch.arange(1.0, 5)[:, None]).half()
    network = Field(lambda field, x, *_: field.slope * x, slope=0.5)
    objective = cmt()
    batch = drawn(objective, x_0, x_1, states=states, labels=labels)
    losses = objective.loss(network, batch)
    (call,) = network.calls
    assert call.gradient
    assert torch.equal(call.labels, labels)
    torch.testing.assert_close(call.timestep, 1000 * (1 - batch["t"]))
    for row in range(64):
        t = float(batch["t"][row])
        z = x_0[row] if t == 0 else states[row, TIMES.index(pytest.approx(t))].float()
        assert torch.equal(call.x[row], z)
        expected = (1 - t) * (0.5 * z - (x_1[row] - z) / (1 - t)).square().mean()
        torch.testing.assert_close(losses[row], expected)
    assert {0.0, *TIMES} == {round(float(t), 6) for t in batch["t"]}


def test_for_a_norm_it_is_the_distance_of_the_images() -> None:
    """L_CMT-CM with d(a, b) = ‖a - b‖ and f(z, t) = z + (1 - t) v(z, t)."""
    pairs, times = gaussian_pairs(16)
    objective = Cmt(VelocityLoss(lambda a, b: (a - b).norm(dim=1)), times, 0.5)
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    batch = drawn(objective, **pairs)
    losses, t = objective.loss(network, batch), batch["t"]
    z = network.calls[0].x
    image = z + per_sample(1 - t, z) * -network(z, network.calls[0].timestep).sample
    torch.testing.assert_close(losses, (image - pairs["x_1"]).norm(dim=1))


def test_at_noise_it_is_one_step() -> None:
    pairs, times = gaussian_pairs(64)
    objective = cmt(times)
    one_step = build_method(FixedStepsConfig(), LossConfig(name="l2"), CPU)
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    batch = drawn(objective, **pairs)
    at_noise = batch["t"] == 0
    expected = one_step.loss(network, drawn(one_step, pairs["x_0"], pairs["x_1"]))
    assert torch.equal(objective.loss(network, batch)[at_noise], expected[at_noise])


def test_a_perceptual_distance_compares_where_the_velocity_leads_with_the_pairs_image() -> None:
    pairs, times = gaussian_pairs(64)
    objective = Cmt(VelocityLoss(l2, perceptual=lambda a, b: (a - b).abs().mean(dim=1)), times, 0.5)
    batch = drawn(objective, **pairs)
    losses, t = objective.loss(Field(lambda _, x, *__: 0 * x), batch), batch["t"]
    z = torch.hypot(1 - t, t * STD)[:, None] * pairs["x_0"]
    regression = ((pairs["x_1"] - z) / per_sample(1 - t, z)).square().mean(dim=1)
    expected = (1 - t) * t * regression + (pairs["x_1"] - z).abs().mean(dim=1)
    torch.testing.assert_close(losses, expected, rtol=0.01, atol=1e-3)


def test_states_are_drawn_alike_and_the_share_at_noise() -> None:
    count, share = 40_000, 0.3
    objective = cmt(share_at_noise=share, latest_time=0.6)
    t = objective.draw(torch.empty(count, 1), step_generator(0, 0))["t"]
    assert abs(int((t == 0).sum()) - count * share) < 4 * (count * share * (1 - share)) ** 0.5
    for time in TIMES[:3]:  # the state at 0.9 comes after the latest time
        each = (1 - share) / 3
        found = int(torch.isclose(t, torch.tensor(time)).sum())
        assert abs(found - count * each) < 4 * (count * each * (1 - each)) ** 0.5
    assert t.max() < 0.61
    assert torch.equal(t, objective.draw(torch.empty(count, 1), step_generator(0, 0))["t"])
    assert torch.equal(objective.times({"t": t}), t)


class Trajectories:
    """Twenty trajectories, the same in every process."""

    def __init__(self) -> None:
        self._pairs, self.times = gaussian_pairs(20)

    def __len__(self) -> int:
        return 20

    def load(self, indices: np.ndarray) -> Batch:
        return {name: values[indices] for name, values in self._pairs.items()}

    def locate(self, index: int) -> str:
        return f"pair {index}"


def test_a_batch_divided_among_processes_and_micro_batches_has_the_same_rows_and_losses() -> None:
    items, config = Trajectories(), training_config(batch_size=24)
    objective = cmt(items.times)
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    whole = StepBatches(items, objective, config, 0, 1)[3]
    expected = objective.loss(network, whole)
    for ranks, parts in ((1, 2), (1, 8), (2, 1), (2, 4), (3, 1), (4, 2), (24, 1)):
        shares = [StepBatches(items, objective, config, rank, ranks)[3] for rank in range(ranks)]
        for name in ("state", "t"):
            assert torch.equal(torch.cat([batch[name] for batch in shares]), whole[name])
        pieces = [piece for batch in shares for piece in micro_batches(batch, parts)]
        torch.testing.assert_close(torch.cat([objective.loss(network, piece) for piece in pieces]), expected)


def test_the_host_does_not_wait_for_the_device() -> None:
    pairs, times = gaussian_pairs(9)
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    objective = cmt(times)
    batch = drawn(objective, **pairs, labels=torch.arange(9))
    with WaitsForNothing():
        objective.loss(network, batch).mean().backward()


@pytest.mark.parametrize(
    ("times", "found"), [((0.96, 0.99), r"up to latest_time \(0\.95\), the first at t = 0\.96"), ((), "there is none")]
)
def test_couplings_whose_states_all_come_too_late_are_refused(times: tuple[float, ...], found: str) -> None:
    with pytest.raises(StraightflowError, match=rf"{found}; raise latest_time, or solve in more steps"):
        cmt(times)


METHODS = TypeAdapter(MethodConfig)


def test_it_is_chosen_by_name() -> None:
    assert METHODS.validate_python({"name": "cmt"}) == CmtConfig(share_at_noise=0.5, latest_time=0.95)
    assert CmtConfig().needs_states


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"share_at_noise": 0.0}, "greater than 0"),
        ({"share_at_noise": 1.0}, "less than 1"),  # that is one_step, which needs no states
        ({"share_at_noise": float("nan")}, "input_value=nan"),
        ({"latest_time": 0.0}, "greater than 0"),
        ({"latest_time": 1.0}, "less than 1"),
        ({"latest_time": True}, "truth value"),
        ({"latest_tim": 0.5}, "did you mean 'latest_time'"),
    ],
)
def test_impossible_shares_and_times_are_refused(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        METHODS.validate_python({"name": "cmt", **values})


@pytest.mark.usefixtures("one_thread")
def test_a_student_is_trained_on_a_stores_states(tiny_unet, runtime, tmp_path: Path) -> None:
    """With flips, micro-batches and held-out samples; each network call but those on held-out ones has a gradient."""
    sampler = student_sampler(tiny_unet, runtime, tmp_path / "student")
    solver = SolverConfig(name="euler", num_steps=4)
    config = couplings(solver=solver, states=True)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store")
    view = WithStates(CouplingStore(tmp_path / "store"))
    settings = training_config(heldout_items=10, horizontal_flips=True, gradient_accumulation_steps=2)
    result = train(
        tiny_unet,
        Subset(view, np.arange(40)),
        cmt(view.times),
        settings,
        runtime,
        tmp_path / "run",
        "cmt",
        heldout=Subset(view, np.arange(40, 50)),
    )
    assert np.isfinite([row.loss for row in result.history]).all()
    assert result.compute.samples_backward == 12 * 8
    # Held-out loss is measured for the last record and for the choice of an average, in two calls of a batch each.
    assert result.compute.samples_forward == 12 * 8 + 2 * 2 * 8
