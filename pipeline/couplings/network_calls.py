"""How many network calls a pair can have taken, from its solver's settings alone."""

from __future__ import annotations

from pipeline.config.solver import SolverConfig
from pipeline.flow.adaptive import MOST_STEPS

_CALLS_PER_STEP = {
    "ddim": 1,
    "dpmpp_2m": 1,
    "unipc": 1,
    "euler": 1,
    "projection": 1,
    "heun": 2,
    "midpoint": 2,
    "rk4": 4,
}
# The first derivative and the trial of the first step's length; six stages a step; a teacher's last estimate.
_DOPRI5_FIRST, _DOPRI5_STEP, _DOPRI5_LAST = 2, 6, 1


def network_calls(solver: SolverConfig, *, to_noise: bool) -> tuple[int, int]:
    """Least and largest number of calls of one solve; they differ where the source's kind or its field decides.

    Args:
        solver: Of a teacher or a student.
        to_noise: Whether it goes from image to noise.
    """
    if solver.name == "dopri5":
        return _DOPRI5_FIRST + _DOPRI5_STEP, _DOPRI5_FIRST + _DOPRI5_STEP * MOST_STEPS + _DOPRI5_LAST
    calls = _CALLS_PER_STEP[solver.name] * solver.steps
    # A teacher's last step by Heun's method ends at the image, where there is no second slope.
    return (calls - 1 if solver.name == "heun" and not to_noise else calls), calls
