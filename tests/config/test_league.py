"""The league compares methods on equal terms."""

from __future__ import annotations

import pytest
from helpers.composition import composed
from helpers.planned_compute import planned_compute

from pipeline.config.graph import Config
from pipeline.config.methods import METHODS
from pipeline.config.planned_calls import planned_calls
from pipeline.config.seeds import recipes

CHAIN = "progressive"
"""Methods of one student after another, each half as many steps; the last has spent the whole budget."""


STEPS = {"league": 1600, "league_long": 4 * 1600}
"""Steps of reflow that a student may spend after the couplings, in each preset."""


def preset(name: str) -> Config:
    return Config.model_validate(composed(f"preset={name}"))


def finished(config: Config) -> dict[str, tuple[str, ...]]:
    """Recipes that no other student starts from."""
    starts = {student.init for student in config.students.values()}
    return {name: students for name, students in recipes(config).items() if starts.isdisjoint(students)}


def test_every_method_is_in_the_league() -> None:
    """All but the one that is trained on the features that the league compares by."""
    league = preset("league")
    methods = {name for name, method in METHODS.items() if not method.learns_features}
    assert {league.students[students[0]].method.name for students in finished(league).values()} == methods
    assert set(METHODS) - methods == {"frechet"}


@pytest.mark.parametrize("name", STEPS)
def test_every_recipe_has_three_seeds(name: str) -> None:
    league = preset(name)
    found = finished(league)
    for recipe, students in found.items():
        assert sorted(league.students[student].seed for student in students) == [1, 2, 3], recipe
    assert "round1" not in found


@pytest.mark.parametrize("name", STEPS)
def test_every_student_has_cost_the_same_when_it_is_done(name: str) -> None:
    league = preset(name)
    drawn = planned_compute(league, "teacher") + sum(
        item.forward for item in planned_calls(league) if item.stage == "couplings@round1"
    )
    totals = {
        student: planned_compute(league, student) for students in finished(league).values() for student in students
    }
    budget = drawn + STEPS[name] * 128 * 3  # steps of reflow: a forward pass, and a backward pass that counts two
    for student, total in totals.items():
        assert total == pytest.approx(budget, rel=0.01), student
        # The teacher and the couplings, alike for all, would hide what a training spends too much.
        assert total - drawn == pytest.approx(budget - drawn, rel=0.01), student


@pytest.mark.parametrize("name", STEPS)
def test_all_learn_the_same_couplings_and_differ_in_method_start_and_steps_alone(name: str) -> None:
    league = preset(name)
    own = {"method", "num_steps", "init", "seed"}
    shared = {key: student.model_dump(exclude=own) for key, student in league.students.items()}
    assert all(settings == shared["round1"] for settings in shared.values())
    for key, student in league.students.items():
        assert student.init in ("teacher", "round1") or student.method.name == CHAIN, key


@pytest.mark.parametrize("name", STEPS)
def test_every_student_but_the_common_start_is_measured(name: str) -> None:
    league = preset(name)
    assert set(league.evaluate.models) == {"teacher"} | (set(league.students) - {"round1"})
    assert league.evaluate.num_samples == 5000
    assert {solver.num_steps for solver in league.evaluate.solvers(teacher=False)} == {1, 2, 4, 8}


def test_both_leagues_give_a_method_the_same_settings() -> None:
    short, long = preset("league"), preset("league_long")
    own = {"num_steps"}
    for name, student in long.students.items():
        assert student.model_dump(exclude=own) == short.students[name].model_dump(exclude=own), name
    assert long.couplings == short.couplings
