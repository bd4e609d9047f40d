"""The league compares methods on equal terms."""

from __future__ import annotations

import pytest
from helpers.composition import composed

from pipeline.config.graph import Config
from pipeline.config.methods import METHODS
from pipeline.config.planned_calls import planned_calls, planned_compute
from pipeline.config.seeds import recipes

CHAIN = "progressive"
"""Methods of one student after another, each half as many steps; the last has spent the whole budget."""


@pytest.fixture(scope="module")
def league() -> Config:
    return Config.model_validate(composed("preset=league"))


def finished(config: Config) -> dict[str, tuple[str, ...]]:
    """Recipes that no other student starts from."""
    starts = {student.init for student in config.students.values()}
    return {name: students for name, students in recipes(config).items() if starts.isdisjoint(students)}


def test_every_method_is_in_the_league_from_three_seeds(league: Config) -> None:
    found = finished(league)
    assert {league.students[students[0]].method.name for students in found.values()} == set(METHODS)
    for name, students in found.items():
        assert sorted(league.students[student].seed for student in students) == [1, 2, 3], name
    assert "round1" not in found


def test_every_student_has_cost_the_same_when_it_is_done(league: Config) -> None:
    drawn = planned_compute(league, "teacher") + sum(
        item.forward for item in planned_calls(league) if item.stage == "couplings@round1"
    )
    totals = {name: planned_compute(league, name) for students in finished(league).values() for name in students}
    budget = drawn + 1600 * 128 * 3  # steps of reflow: a forward pass, and a backward pass that counts two
    for name, total in totals.items():
        assert total == pytest.approx(budget, rel=0.01), name
        # The teacher and the couplings, alike for all, would hide what a training spends too much.
        assert total - drawn == pytest.approx(budget - drawn, rel=0.01), name


def test_all_learn_the_same_couplings_and_differ_in_method_start_and_steps_alone(league: Config) -> None:
    own = {"method", "num_steps", "init", "seed"}
    shared = {name: student.model_dump(exclude=own) for name, student in league.students.items()}
    assert all(settings == shared["round1"] for settings in shared.values())
    for name, student in league.students.items():
        assert student.init in ("teacher", "round1") or student.method.name == CHAIN, name


def test_every_student_but_the_common_start_is_measured(league: Config) -> None:
    assert set(league.evaluate.models) == {"teacher"} | (set(league.students) - {"round1"})
    assert league.evaluate.num_samples == 5000
    assert {solver.num_steps for solver in league.evaluate.solvers(teacher=False)} == {1, 2, 4, 8}
