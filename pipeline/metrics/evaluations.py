"""How many network calls a solver can take."""

from __future__ import annotations

from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS

_PER_STEP = {"heun": 2, "midpoint": 2, "rk4": 4}
"""Solvers that call the network more than once a step."""
_PER_ADAPTIVE_STEP = 6
"""Dormand-Prince 5(4) has seven stages, of which the first is the last of the step before."""


def possible_evaluations(solver: str, num_steps: int | None) -> tuple[int, int | None]:
    """Fewest and most network calls a sample; None where there is no most, as for adaptive solvers.

    Args:
        solver: Solver as in tables, see :attr:`pipeline.config.solver.SolverConfig.label`.
        num_steps: Its steps; None for an adaptive one.
    """
    if num_steps is None:
        return _PER_ADAPTIVE_STEP, None
    name = solver_of_label(solver)
    most = _PER_STEP.get(name, 1) * num_steps
    # Heun's step that ends at a teacher's image takes one call.
    return most - (name == "heun"), most


def solver_of_label(label: str) -> str:
    """Name of the solver that a label begins with.

    Raises:
        ValueError: If there is no such solver.
    """
    name = label.partition("-")[0]
    if name not in (*TEACHER_SOLVERS, *STUDENT_SOLVERS) or label.endswith("-"):
        raise ValueError(f"{label!r} begins with no solver ({', '.join(sorted({*TEACHER_SOLVERS, *STUDENT_SOLVERS}))})")
    return name
