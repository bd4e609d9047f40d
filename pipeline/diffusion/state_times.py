"""When the states are that a solver of fixed steps goes through."""

from __future__ import annotations

from pipeline.config.solver import SolverConfig
from pipeline.diffusion.noise_schedule import NoiseSchedule
from pipeline.flow.solvers import time_grid


def state_times(solver: SolverConfig, noise_schedule: NoiseSchedule | None) -> tuple[float, ...]:
    """Straight-line times at which the steps but the first one begin, rising, in (0, 1).

    Args:
        solver: Of fixed steps.
        noise_schedule: Of the diffusion model that it solves; None for a flow.

    Raises:
        StraightflowError: If the model was trained at fewer levels of noise than the solver takes steps.
    """
    if noise_schedule is None:
        return time_grid(solver)[1:-1]
    return tuple(node.t for node in noise_schedule.nodes(solver.steps, str(solver.grid))[1:-1])
