"""Optima in closed form, gradients, and the division of a batch."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import Pairs, training_config
from helpers.velocity_field import Field, drawn
from helpers.waits_for_nothing import WaitsForNothing
from pydantic import TypeAdapter, ValidationError

from pipeline.config.flow import LossConfig
from pipeline.config.methods import AnyStepConfig, FixedStepsConfig, MethodConfig
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import step_generator
from pipeline.flow.paths import per_sample
from pipeline.methods.any_step import AnyStep
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.student import NUM_TRAIN_TIMESTEPS
from pipeline.toys.gaussian_mixture import GaussianMixture
from pipeline.training.samples import StepBatches, micro_batches

CPU = torch.device("cpu")
SHARES = (0.5, 0.3, 0.29, 0.9, 1.0)


def any_step(share_at_noise: float = 0.5, latest_time: float = 0.95) -> Objective:
    config = AnyStepConfig(share_at_noise=share_at_noise, latest_time=latest_time)
    return build_method(config, LossConfig(name="l2"), CPU)


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=step_generator(0, 0))


def test_pairs_that_a_linear_map_makes_are_learned_without_a_loss_left() -> None:
    """For x_1 = a x_0 the first step is exact, so x_t = (1 + (a - 1) t) x_0 and the velocity there (a - 1) x_0."""
    a, x_0 = 0.4, noise(64)
    network = Field(lambda field, x, t, _: field.slope / (1 + t * field.slope) * x, slope=a - 1)
    objective = any_step()
    losses = objective.loss(network, drawn(objective, x_0, a * x_0))
    losses.mean().backward()
    assert losses.max() < 1e-9
    assert network.slope.grad.abs() < 1e-5


def test_a_wrong_first_step_is_held_and_its_error_learned_by_the_times_after_it() -> None:
    """With v(x, 0) = b x the states are (1 + t b) x_0, and the rest of the way to a x_0 is (a - 1 - t b) / (1 - t)."""
    a, b, c, x_0 = 0.4, 0.3, -0.2, noise(64)
    network = Field(lambda field, x, t, _: torch.where(t == 0, field.first, field.later) * x, first=b, later=c)
    objective = any_step()
    batch = drawn(objective, x_0, a * x_0)
    losses = objective.loss(network, batch)
    t = batch["t"]
    slope, missed = 1 + t * b, (a - 1 - t * b) / (1 - t)
    error = torch.where(t == 0, b - (a - 1), c * slope - missed)
    size = x_0.square().mean(dim=1)
    torch.testing.assert_close(losses, (1 - t) * error.square() * size)
    losses.sum().backward()
    # The first step is moved by the samples at t = 0 alone: as a way to later states it has no gradient.
    torch.testing.assert_close(network.first.grad, (2 * (b - (a - 1)) * size)[t == 0].sum())
    torch.testing.assert_close(network.later.grad, (2 * (1 - t) * error * slope * size)[t > 0].sum())
    assert sorted(call.gradient for call in network.calls) == [False, True]


def test_the_optimum_leads_from_every_own_state_to_the_pairs_image() -> None:
    a, b, x_0 = 0.4, 0.3, noise(64)
    network = Field(lambda _, x, t, __: torch.where(t == 0, b, (a - 1 - t * b) / ((1 - t) * (1 + t * b))) * x)
    objective = any_step()
    batch = drawn(objective, x_0, a * x_0)
    losses, t = objective.loss(network, batch), batch["t"]
    assert losses[t > 0].max() < 1e-9
    asked = network.calls[-1].x
    torch.testing.assert_close(asked, per_sample(1 + t * b, x_0) * x_0)
    landed = asked - per_sample(1 - t, x_0) * network(asked, NUM_TRAIN_TIMESTEPS * (1 - t)).sample
    torch.testing.assert_close(landed[t > 0], (a * x_0)[t > 0], atol=1e-5, rtol=1e-4)


def test_of_a_mixture_that_knows_nothing_of_the_noise_its_mean_is_learned() -> None:
    """Without dependence E[x_1 | x_0] is the mixture's mean, to which v = (m - x) / (1 - t) leads from every state.

    Its loss is (m - x_1)² / (1 - t), so the best m is a weighted mean of x_1, one step of Newton's method away.
    """
    weights, means, stds = torch.tensor([0.3, 0.7]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.5, 0.8])
    count = 40_000
    x_1 = GaussianMixture(weights, means, stds).sample(count, torch.Generator().manual_seed(0))
    network = Field(lambda field, x, t, _: (field.mean - x) / (1 - t), mean=0.0)
    objective = any_step(latest_time=0.5)
    batch = drawn(objective, torch.randn(count, 1, generator=step_generator(0, 0)), x_1)
    objective.loss(network, batch).sum().backward()
    weight = 1 / (1 - batch["t"])
    learned = -network.mean.grad / (2 * weight.sum())
    mean = (weights * means[:, 0]).sum()
    variance = (weights * (stds.square() + (means[:, 0] - mean).square())).sum()
    standard_error = (variance * weight.square().sum()).sqrt() / weight.sum()
    assert (learned - mean).abs() < 4 * standard_error
    assert standard_error < 0.02


def test_all_of_the_batch_at_noise_is_one_step_to_the_bit_and_costs_one_call() -> None:
    x_0, x_1 = noise(8), noise(9)[1:]
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    one_step = build_method(FixedStepsConfig(), LossConfig(name="pseudo_huber", c=0.03), CPU)
    objective = build_method(AnyStepConfig(share_at_noise=1), LossConfig(name="pseudo_huber", c=0.03), CPU)
    expected = one_step.loss(network, drawn(one_step, x_0, x_1))
    found = objective.loss(network, drawn(objective, x_0, x_1))
    assert torch.equal(found, expected)
    assert len(network.calls) == 2


def test_a_perceptual_distance_compares_where_the_velocity_leads_with_the_pairs_image() -> None:
    x_0, x_1 = noise(16), noise(17)[1:]
    objective = AnyStep(VelocityLoss(l2, perceptual=lambda a, b: (a - b).abs().mean(dim=1)), 0.5, 0.95)
    batch = drawn(objective, x_0, x_1)
    losses, t = objective.loss(Field(lambda _, x, *__: 0 * x), batch), batch["t"]
    # Without motion x_t is x_0 throughout, and so is where it leads: (1 - t)(t · regression + distance / (1 - t)).
    regression = ((x_1 - x_0) / per_sample(1 - t, x_0)).square().mean(dim=1)
    torch.testing.assert_close(losses, (1 - t) * t * regression + (x_1 - x_0).abs().mean(dim=1))


@pytest.mark.parametrize("share", SHARES)
def test_the_share_is_at_noise_and_the_rest_at_times_up_to_the_latest(share: float) -> None:
    objective = any_step(share, latest_time=0.8)
    t = objective.draw(torch.empty(10_000, 1), step_generator(0, 0))["t"]
    assert int((t == 0).sum()) == round(10_000 * share)
    rest = t[t > 0]
    assert not len(rest) or rest.max() < 0.8
    # A uniform time has mean 0.4 and variance 0.8² / 12.
    assert not len(rest) or abs(rest.mean() - 0.4) < 4 * 0.8 / (12 * len(rest)) ** 0.5
    assert torch.equal(t, objective.draw(torch.empty(10_000, 1), step_generator(0, 0))["t"])
    assert torch.equal(objective.times({"t": t}), t)


@pytest.mark.parametrize("share", SHARES)
def test_a_batch_divided_among_processes_and_micro_batches_has_the_same_losses(share: float) -> None:
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    objective, config = any_step(share), training_config(batch_size=24)
    whole = StepBatches(Pairs(), objective, config, 0, 1)[3]
    expected = objective.loss(network, whole)
    assert torch.isfinite(expected).all()
    for ranks, parts in ((1, 2), (1, 8), (2, 1), (2, 4), (3, 1), (4, 2), (8, 1), (24, 1)):
        shares = [StepBatches(Pairs(), objective, config, rank, ranks)[3] for rank in range(ranks)]
        pieces = [piece for batch in shares for piece in micro_batches(batch, parts)]
        found = torch.cat([objective.loss(network, piece) for piece in pieces])
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("share", SHARES)
def test_a_process_takes_no_more_own_steps_than_its_rows_after_noise_and_one(share: float) -> None:
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    objective = any_step(share)
    whole = drawn(objective, noise(60), noise(61)[1:])
    expected = objective.loss(network, whole)
    for size in range(1, 20):
        for start in range(60 - size):
            network.calls.clear()
            window = {name: values[start : start + size] for name, values in whole.items()}
            torch.testing.assert_close(objective.loss(network, window), expected[start : start + size])
            steps = [len(call.x) for call in network.calls if not call.gradient]
            assert sum(steps) <= int((window["t"] > 0).sum()) + 1


def test_without_gradients_any_rows_have_their_own_losses() -> None:
    """Held-out samples are dealt to processes in turns, so all of a process's may be at the same kind of time."""
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    objective = any_step()
    whole = drawn(objective, noise(12), noise(13)[1:])
    with torch.no_grad():
        expected = objective.loss(network, whole)
        for rows in (slice(0, None, 2), slice(1, None, 2), torch.tensor([1, 1, 3, 5])):
            part = {name: values[rows] for name, values in whole.items()}
            torch.testing.assert_close(objective.loss(network, part), expected[rows])


def test_a_state_that_no_step_was_taken_for_is_no_number() -> None:
    """Rows that do not follow one another may have more times after noise than steps are taken."""
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    objective = any_step()
    whole = drawn(objective, noise(8), noise(9)[1:])
    part = {name: values[whole["t"] > 0] for name, values in whole.items()}
    assert int(objective.loss(network, part).isnan().sum()) == 2


def test_both_calls_see_the_classes_of_their_samples() -> None:
    labels = torch.arange(8) % 3
    x_0, x_1 = noise(8), noise(9)[1:]
    network = Field(lambda _, x, t, classes: per_sample(1.0 + classes, x) * (1 - t))
    objective = any_step()
    batch = drawn(objective, x_0, x_1, labels=labels)
    objective.loss(network, batch)
    first, second = network.calls
    t = batch["t"]
    assert len(first.x) == 4
    for x, label in zip(first.x, first.labels, strict=True):
        row = int((x_0 == x).all(dim=1).nonzero())
        assert t[row] > 0
        assert label == labels[row]
    assert torch.equal(second.labels, labels)
    torch.testing.assert_close(second.x, x_0 + per_sample(t * (1 + labels), x_0))


@pytest.mark.parametrize(("share", "steps"), [(0.5, 32), (0.25, 48), (1.0, 0)])
def test_the_ledger_has_the_own_steps_of_the_rest_and_a_gradient_of_each_sample(share: float, steps: int) -> None:
    calls = NetworkCalls()
    network = CountedNetwork(Field(lambda field, x, t, _: (field.slope - t) * x, slope=0.3), calls)
    objective = any_step(share)
    objective.loss(network, drawn(objective, noise(64), noise(65)[1:])).mean().backward()
    assert calls == NetworkCalls(forward=64 + steps, backward=64)


@pytest.mark.parametrize("share", SHARES)
def test_the_host_does_not_wait_for_the_device(share: float) -> None:
    x_0 = noise(9)
    network = Field(lambda field, x, t, _: (field.slope - t) * x.sin(), slope=0.3)
    objective = any_step(share)
    batch = drawn(objective, x_0, -x_0, labels=torch.arange(9))
    with WaitsForNothing():
        objective.loss(network, batch).mean().backward()
    for waits in (lambda: x_0[x_0[:, 0] > 0], lambda: x_0.sum().item()):
        with WaitsForNothing(), pytest.raises(AssertionError):
            waits()


METHODS = TypeAdapter(MethodConfig)


def test_a_method_is_chosen_by_name_and_takes_its_own_parameters() -> None:
    assert METHODS.validate_python({"name": "any_step"}) == AnyStepConfig(share_at_noise=0.5, latest_time=0.95)
    assert METHODS.validate_python({"name": "fixed_steps"}) == FixedStepsConfig()
    reflow = {"name": "reflow", "timesteps": {"name": "u_shaped", "a": 4.0}}
    assert METHODS.dump_python(METHODS.validate_python(reflow))["timesteps"]["a"] == 4.0


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"share_at_noise": 0.0}, "greater than 0"),
        ({"share_at_noise": 1.1}, "less than or equal to 1"),
        ({"share_at_noise": float("nan")}, "input_value=nan"),
        ({"share_at_noise": True}, "truth value"),
        ({"latest_time": 0.0}, "greater than 0"),
        ({"latest_time": 1.0}, "less than 1"),
        (
            {"timesteps": {"name": "uniform"}},
            r"any_step has a key 'timesteps', which does not exist.*\(known: name, share_at_noise, latest",
        ),
        ({"share_at_nois": 0.5}, "did you mean 'share_at_noise'"),
        ({"name": "any_stp"}, "name 'any_stp', which does not exist; did you mean 'any_step'"),
        ({"name": "reflow"}, "timesteps\n.*Field required"),
        ({"name": ["any_step"]}, "which does not exist"),
    ],
)
def test_impossible_shares_and_times_are_refused(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        METHODS.validate_python({"name": "any_step", **values})


@pytest.mark.parametrize("value", ["any_step", None, {"share_at_noise": 0.5}, ["any_step"]])
def test_a_method_without_a_name_is_told_the_names(value: object) -> None:
    with pytest.raises(ValidationError, match="no mapping with a name; give name: and one of reflow, fixed_steps, any"):
        METHODS.validate_python(value)


def test_what_is_wrong_with_a_method_is_found_at_its_own_key() -> None:
    with pytest.raises(ValidationError) as caught:
        METHODS.validate_python({"name": "reflow", "timesteps": {"name": "uniform"}, "weighting": "cosmapp"})
    assert [error["loc"] for error in caught.value.errors()] == [("weighting",)]
