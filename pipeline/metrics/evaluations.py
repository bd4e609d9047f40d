"""How many network calls a solver can take."""

from __future__ import annotations

import re

from pipeline.config.guidance import GUIDED
from pipeline.config.network_calls import LEAST_ADAPTIVE_CALLS, fixed_step_calls
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS

_GUIDED_EVERYWHERE = re.compile(rf".+-{GUIDED}-[\d.]+(e[+-]\d+)?(-by-guide)?")
"""The label of a solver with guidance of some scale and no interval."""


def possible_evaluations(solver: str, num_steps: int | None) -> tuple[int, int | None]:
    """Fewest and most network calls a sample; None where there is no most, as for adaptive solvers.

    A guided call counts two. In an interval of times any number of them may be guided.

    Args:
        solver: Solver as in tables, see :attr:`pipeline.config.solver.SolverConfig.label`.
        num_steps: Its steps; None for an adaptive one.
    """
    least_each = 2 if _GUIDED_EVERYWHERE.fullmatch(solver) else 1
    if num_steps is None:
        return least_each * LEAST_ADAPTIVE_CALLS, None
    least, most = fixed_step_calls(solver_of_label(solver), num_steps)
    return least_each * least, 2 * most if f"-{GUIDED}-" in solver else most


def solver_of_label(label: str) -> str:
    """Name of the solver that a label begins with.

    Raises:
        ValueError: If there is no such solver.
    """
    name = label.partition("-")[0]
    if name not in (*TEACHER_SOLVERS, *STUDENT_SOLVERS) or label.endswith("-"):
        raise ValueError(f"{label!r} begins with no solver ({', '.join(sorted({*TEACHER_SOLVERS, *STUDENT_SOLVERS}))})")
    return name
