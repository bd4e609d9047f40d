"""What every method of two times promises: any division of a batch, no waiting, and no row without its target."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import Pairs, training_config
from helpers.velocity_field import Field, drawn, end_of
from helpers.waits_for_nothing import WaitsForNothing

from pipeline.config.flow import LossConfig
from pipeline.config.methods import METHODS
from pipeline.flow.noise import step_generator
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.training.samples import StepBatches, micro_batches

SETTINGS: list[dict[str, object]] = [
    {"name": "mean_flow", "share_of_velocity": 0.25},
    {"name": "mean_flow", "share_of_velocity": 0.29},
    {"name": "mean_flow", "share_of_velocity": 0.0},
    {"name": "shortcut"},
    {"name": "shortcut", "share_of_velocity": 0.3, "share_of_pairs": 0.29, "steps": "continuous"},
]


@pytest.fixture(params=SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
def objective(request: pytest.FixtureRequest) -> Objective:
    config = METHODS[request.param["name"]].model_validate(request.param)
    return build_method(config, LossConfig(name="l2"), torch.device("cpu"))  # type: ignore[arg-type]


def field() -> Field:
    return Field(lambda field, x, t, label: (field.slope - t + end_of(label, x) ** 2) * x.sin(), slope=0.3)


def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = step_generator(0, 0)
    return torch.randn(count, 3, generator=generator), torch.randn(count, 3, generator=generator)


def test_a_batch_divided_among_processes_and_micro_batches_has_the_same_losses(objective: Objective) -> None:
    network, config = field(), training_config(batch_size=24)
    whole = StepBatches(Pairs(), objective, config, 0, 1)[3]
    expected = objective.loss(network, whole)
    assert torch.isfinite(expected).all()
    for ranks, parts in ((1, 2), (1, 8), (2, 1), (2, 4), (3, 1), (4, 2), (8, 1), (24, 1)):
        shares = [StepBatches(Pairs(), objective, config, rank, ranks)[3] for rank in range(ranks)]
        pieces = [piece for batch in shares for piece in micro_batches(batch, parts)]
        found = torch.cat([objective.loss(network, piece) for piece in pieces])
        torch.testing.assert_close(found, expected)


def test_any_consecutive_rows_have_their_losses_with_hardly_more_calls_than_they_need(objective: Objective) -> None:
    network = field()
    whole = drawn(objective, *pairs(40))
    expected, taught = objective.loss(network, whole), whole.get("taught", whole.get("still"))
    for size in range(1, 20):
        for start in range(40 - size):
            network.calls.clear()
            window = {name: values[start : start + size] for name, values in whole.items()}
            torch.testing.assert_close(objective.loss(network, window), expected[start : start + size])
            extra = sum(len(call.x) for call in network.calls if not call.gradient)
            assert extra <= 2 * (int((~taught[start : start + size]).sum()) + 1)


def test_without_gradients_any_rows_have_their_own_losses(objective: Objective) -> None:
    network = field()
    whole = drawn(objective, *pairs(12))
    with torch.no_grad():
        expected = objective.loss(network, whole)
        for rows in (slice(0, None, 2), slice(1, None, 2), torch.tensor([1, 1, 3, 5])):
            part = {name: values[rows] for name, values in whole.items()}
            torch.testing.assert_close(objective.loss(network, part), expected[rows])


def test_a_row_that_no_target_was_computed_for_is_no_number(objective: Objective) -> None:
    whole = drawn(objective, *pairs(40))
    outside = ~whole.get("taught", whole.get("still"))
    part = {name: values[outside] for name, values in whole.items()}
    losses = objective.loss(field(), part)
    rows = int(outside.sum())
    inside_at_least = rows - sum(len(call.x) for call in self_calls(objective, part)) // 2
    assert int(losses.isnan().sum()) == inside_at_least


def self_calls(objective: Objective, batch: dict[str, torch.Tensor]) -> list:
    network = field()
    objective.loss(network, batch)
    return [call for call in network.calls if not call.gradient]


def test_the_host_does_not_wait_for_the_device(objective: Objective) -> None:
    network, batch = field(), drawn(objective, *pairs(9))
    with WaitsForNothing():
        objective.loss(network, batch).mean().backward()


def test_the_same_generator_draws_the_same_and_every_end_is_after_its_start(objective: Objective) -> None:
    first, second = (objective.draw(torch.empty(500, 1), step_generator(0, 0)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (first["end"] >= first["t"]).all()
    assert (first["t"] >= 0).all()
    assert (first["end"] <= 1).all()
