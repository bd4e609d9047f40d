from __future__ import annotations

import pytest
import torch

from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.flow.solvers import solve
from pipeline.metrics.evaluations import possible_evaluations, solver_of_label


@pytest.mark.parametrize("name", [name for name in STUDENT_SOLVERS if name != "dopri5"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_fixed_steps_of_students_take_the_most_calls(name: str, num_steps: int) -> None:
    found = solve(lambda x, _: -x, torch.ones(2, 3), SolverConfig(name=name, num_steps=num_steps))
    assert possible_evaluations(name, num_steps)[1] == found.nfe


def test_an_adaptive_solver_takes_at_least_a_step() -> None:
    config = SolverConfig(name="dopri5", rtol=1.0, atol=1.0)
    least, most = possible_evaluations(config.label, None)
    assert most is None
    assert least <= solve(lambda x, _: torch.ones_like(x), torch.zeros(2, 3), config).nfe


def test_what_a_solver_can_take_is_known_of_all() -> None:
    # Heun's step to a teacher's image takes one call, every other two.
    expected = {"heun": (7, 8), "midpoint": (8, 8), "rk4": (16, 16)}
    for name in {*TEACHER_SOLVERS, *STUDENT_SOLVERS} - {"dopri5"}:
        assert possible_evaluations(name, 4) == expected.get(name, (4, 4))
        assert possible_evaluations(f"{name}-cosine", 4) == expected.get(name, (4, 4))


@pytest.mark.parametrize("label", ["", " ", "-", "euler-", "Euler", "eule", "euler 4", "-cosine"])
def test_a_label_begins_with_a_solver(label: str) -> None:
    with pytest.raises(ValueError, match="begins with no solver"):
        solver_of_label(label)
    assert solver_of_label("dopri5-1e-05") == "dopri5"
