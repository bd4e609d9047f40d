"""How many network calls a solver can take."""

from __future__ import annotations

from pipeline.config.guidance import GUIDED
from pipeline.config.network_calls import CALLS_PER_ADAPTIVE_STEP, fixed_step_calls
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS


def possible_evaluations(solver: str, num_steps: int | None) -> tuple[int, int | None]:
    """Fewest and most network calls a sample; None where there is no most, as for adaptive solvers.

    Args:
        solver: Solver as in tables, see :attr:`pipeline.config.solver.SolverConfig.label`.
        num_steps: Its steps; None for an adaptive one.
    """
    if num_steps is None:
        return CALLS_PER_ADAPTIVE_STEP, None
    least, most = fixed_step_calls(solver_of_label(solver), num_steps)
    return least, 2 * most if f"-{GUIDED}-" in solver else most


def solver_of_label(label: str) -> str:
    """Name of the solver that a label begins with.

    Raises:
        ValueError: If there is no such solver.
    """
    name = label.partition("-")[0]
    if name not in (*TEACHER_SOLVERS, *STUDENT_SOLVERS) or label.endswith("-"):
        raise ValueError(f"{label!r} begins with no solver ({', '.join(sorted({*TEACHER_SOLVERS, *STUDENT_SOLVERS}))})")
    return name
