"""How many network calls the steps of a solver take, which a table or a manifest that says otherwise is checked by."""

from __future__ import annotations

from pipeline.config.guidance import GuidanceConfig

_MORE_THAN_ONE = {"heun": 2, "midpoint": 2, "rk4": 4}
"""Calls a step of the solvers that take more than one."""
CALLS_PER_ADAPTIVE_STEP = 6
"""Dormand-Prince 5(4) has seven stages, of which the first is the last of the step before."""
FIRST_ADAPTIVE_CALLS = 2
"""The first derivative, and the trial of the first step's length."""
LEAST_ADAPTIVE_CALLS = FIRST_ADAPTIVE_CALLS + CALLS_PER_ADAPTIVE_STEP


def calls_per_step(solver: str) -> int:
    """Network calls of one step of a solver with fixed steps; a teacher's last step by Heun's method takes one less."""
    return _MORE_THAN_ONE.get(solver, 1)


def fixed_step_calls(solver: str, num_steps: int, *, to_noise: bool = False) -> tuple[int, int]:
    """Fewest and most network calls of one solve; they differ where the kind of model decides.

    Args:
        solver: Name of a solver with fixed steps.
        num_steps: Its steps.
        to_noise: Whether it goes from image to noise.
    """
    most = calls_per_step(solver) * num_steps
    # A teacher's last step by Heun's method ends at the image, where there is no second slope.
    return most - (solver == "heun" and not to_noise), most


def guided_calls(least: int, most: int, guidance: GuidanceConfig | None) -> tuple[int, int]:
    """Fewest and most evaluations of a solve that takes ``least`` to ``most`` unguided; in the interval each is two."""
    if guidance is None:
        return least, most
    return (2 * least if guidance.is_everywhere else least), 2 * most
