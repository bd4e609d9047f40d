"""Which trajectories of a model are drawn on the report's page, and what they take."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.guidance import GuidanceConfig
from pipeline.config.network_calls import calls_per_step, guided_calls

NUM_NOISES = 8
TIMES = tuple(place / 8 for place in range(9))
"""Straight-line times at which states are kept, from noise to image."""
STUDENT_STEPS = (1, 2, 4, 8)
ODE_SOLVER, ODE_STEPS = "heun", 4
"""Solver along an ODE, and its steps between two of ``TIMES``."""


@dataclass(frozen=True)
class DrawnTrajectories:
    """Trajectories of one model from the first ``NUM_NOISES`` noises of the evaluation.

    Attributes:
        along_ode: Whether its ODE is followed closely, because it has learned its velocity at every time.
        num_steps: Numbers of its own Euler steps.
        guidance: Along the ODE.
    """

    along_ode: bool
    num_steps: tuple[int, ...]
    guidance: GuidanceConfig | None = None

    @property
    def forward(self) -> int:
        """Samples through the network; the fewest where guidance is for some times alone."""
        # An estimate of the image at each time, and the solver's steps between them.
        along = len(TIMES) + calls_per_step(ODE_SOLVER) * ODE_STEPS * (len(TIMES) - 1) if self.along_ode else 0
        return NUM_NOISES * (guided_calls(along, along, self.guidance)[0] + sum(self.num_steps))
