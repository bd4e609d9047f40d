"""Students of two times in the graph: where they start, what they sample with, what may be made from them."""

from __future__ import annotations

import pytest
from helpers.composition import changed, composed

from pipeline.config.feasibility import class_problems
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.solver import FLOW_MAP_SOLVERS, STUDENT_SOLVERS, TEACHER_SOLVERS
from pipeline.system.errors import StraightflowError

MEAN_FLOW, SHORTCUT = {"name": "mean_flow"}, {"name": "shortcut"}


def config(changes: dict[str, object], preset: str = "smoke") -> Config:
    return parse_config(changed(preset, changes), origin="test")


@pytest.mark.parametrize("method", [MEAN_FLOW, SHORTCUT])
def test_a_student_of_two_times_is_sampled_by_its_own_steps_alone(method: dict[str, object]) -> None:
    of = config(
        {
            "students.round2.method": method,
            "evaluate.models": ["round1", "round2"],
            "evaluate.student_solvers": ["euler", "heun", {"name": "euler", "grid": "cosine"}, "projection"],
        }
    )
    assert [of.solvers_of(name) for name in ("teacher", "round1", "round2")] == [
        TEACHER_SOLVERS, STUDENT_SOLVERS, FLOW_MAP_SOLVERS,
    ]  # fmt: skip
    assert {solver.label for solver, _ in of.cells_of("round1")} >= {"euler", "heun", "euler-cosine", "projection"}
    assert {solver.label for solver, _ in of.cells_of("round2")} == {"euler", "euler-cosine"}
    assert [of.takes_two_times(name) for name in of.models] == [False, False, False, True]


def test_a_student_of_two_times_may_start_from_another_and_be_the_headline() -> None:
    of = config(
        {
            "students.few_step.method": MEAN_FLOW,
            "students.round2.method": SHORTCUT,
            "students.round2.init": "few_step",
            "couplings.round2.source": "round1",
            "evaluate.student_solvers": ["heun"],
            "evaluate.models": ["few_step"],
        }
    )
    # The headline's cells are Euler's, whatever the others.
    assert {solver.name for solver, _ in of.cells_of("few_step")} == {"euler"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"students.few_step.method": MEAN_FLOW, "students.round2.init": "few_step"},
            r"students\.round2\.method is .*, and init 'few_step': it takes two times.*start from a model of one time, "
            r"or choose one of two \(mean_flow, shortcut\)",
        ),
        (
            {
                "students.round1.method": SHORTCUT,
                "students.few_step.init": "teacher",
                "students.round2.init": "teacher",
            },
            r"couplings\.round2\.source 'round1' takes two times, .*; name the teacher, a flow or a student",
        ),
        (
            {
                "students.round2.method": MEAN_FLOW,
                "evaluate.models": ["round2"],
                "evaluate.student_solvers": ["heun", "projection"],
            },
            r"evaluate\.student_solvers names no solver for 'round2', which takes two times; add euler",
        ),
    ],
)
def test_what_does_not_go_with_two_times_is_refused_by_key(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        config(changes)


def test_points_take_one_time() -> None:
    name = next(iter(composed("preset=toy_smoke")["students"]))
    with pytest.raises(
        StraightflowError, match=rf"students\.{name}\.method is mean_flow.*of points and takes one time"
    ):
        config({f"students.{name}.method": MEAN_FLOW}, preset="toy_smoke")


def test_a_teacher_with_classes_is_refused_once_it_is_known() -> None:
    of = config({"students.few_step.method": SHORTCUT})
    assert list(class_problems(of, None, None)) == []
    (problem,) = class_problems(of, 10, None)
    start = "students.few_step.method is shortcut, and init 'round1': its network takes a class (10 of them)"
    assert problem.startswith(start)
    assert "any_step" in problem
    of_one_time = config({})
    assert list(class_problems(of_one_time, 10, None)) == []
