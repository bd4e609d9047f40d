from __future__ import annotations

from typing import Any

import pytest
import torch

from pipeline.config.guidance import GuidanceConfig
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.flow.solvers import solve
from pipeline.metrics.evaluations import possible_evaluations, solver_of_label


@pytest.mark.parametrize("name", [name for name in STUDENT_SOLVERS if name != "dopri5"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_fixed_steps_of_students_take_the_most_calls(name: str, num_steps: int) -> None:
    found = solve(lambda x, _: -x, torch.ones(2, 3), SolverConfig(name=name, num_steps=num_steps))
    assert possible_evaluations(name, num_steps)[1] == found.nfe


def test_an_adaptive_solver_takes_at_least_a_first_length_and_a_step() -> None:
    config = SolverConfig(name="dopri5", rtol=1.0, atol=1.0)
    # The first step's length is at least min(100 h0, (0.01 / d1)^(1/5)) with d1 = |v| / 2 and h0 = 0.01 (1/2) / d1
    # (Hairer et al. 1993, sec. II.4), which of so slow a field is beyond the end: one step, of no error.
    assert possible_evaluations(config.label, None) == (8, None)
    assert solve(lambda x, _: torch.full_like(x, 1e-3), torch.ones(2, 3), config).nfe == 8


@pytest.mark.parametrize(
    ("guidance", "least"),
    [
        ({"scale": 2.5}, 2),
        ({"scale": 0.00001}, 2),  # named 1e-05
        ({"scale": 1.7, "by": "guide"}, 2),
        ({"scale": 1.5, "interval": (0.2, 0.8)}, 1),
        ({"scale": 1.7, "by": "guide", "interval": (0.0, 0.8)}, 1),
    ],
)
def test_a_guided_call_counts_two_and_in_an_interval_one_at_least(guidance: dict[str, Any], least: int) -> None:
    found = GuidanceConfig.model_validate(guidance)
    fixed = SolverConfig(name="heun", num_steps=4, guidance=found)
    assert possible_evaluations(fixed.label, 4) == (least * 7, 2 * 8)
    adaptive = SolverConfig(name="dopri5", rtol=1e-3, atol=1e-3, guidance=found)
    assert possible_evaluations(adaptive.label, None) == (least * 8, None)


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
