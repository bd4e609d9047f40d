"""How many network calls a pair can have taken, from its solver's settings alone."""

from __future__ import annotations

from pipeline.config.network_calls import CALLS_PER_ADAPTIVE_STEP, fixed_step_calls, guided_calls
from pipeline.config.solver import SolverConfig
from pipeline.flow.adaptive import MOST_STEPS

# The first derivative and the trial of the first step's length; a teacher's last estimate.
_DOPRI5_FIRST, _DOPRI5_LAST = 2, 1


def network_calls(solver: SolverConfig, *, to_noise: bool) -> tuple[int, int]:
    """Least and largest number of calls of one solve; they differ where the source's kind or its field decides.

    Args:
        solver: Of a teacher or a student.
        to_noise: Whether it goes from image to noise.
    """
    if solver.name == "dopri5":
        least = _DOPRI5_FIRST + CALLS_PER_ADAPTIVE_STEP
        most = _DOPRI5_FIRST + CALLS_PER_ADAPTIVE_STEP * MOST_STEPS + _DOPRI5_LAST
        return guided_calls(least, most, solver.guidance)
    least, most = fixed_step_calls(solver.name, solver.steps, to_noise=to_noise)
    return guided_calls(least, most, solver.guidance)
