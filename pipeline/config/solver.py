"""Solvers of a model's ODE."""

from __future__ import annotations

import itertools
from typing import Annotated, TypedDict

from pydantic import Field, model_validator

from pipeline.config.guidance import GuidanceConfig
from pipeline.config.section import PositiveInt, Section, Tolerance, one_of

TEACHER_SOLVERS = ("unipc", "dpmpp_2m", "ddim", "heun", "dopri5")
STUDENT_SOLVERS = ("euler", "heun", "midpoint", "rk4", "projection", "dopri5")
FLOW_MAP_SOLVERS = ("euler",)
"""Solvers that a student of two times has: its own steps, from the time that each starts at to the one it ends at."""
TEACHER_GRIDS = ("uniform", "quadratic")
STUDENT_GRIDS = ("uniform", "cosine", "edm")
MOST_STEPS = 1_000_000
"""Most steps of a fixed grid, whose times are held in memory; far more than rounding in float32 lets gain anything."""
NumSteps = Annotated[PositiveInt, Field(le=MOST_STEPS)]
GridName = Annotated[str, one_of(tuple(dict.fromkeys((*TEACHER_GRIDS, *STUDENT_GRIDS))))]


def levels_problem(num_points: int, levels: int) -> str | None:
    """Why ``num_points`` grid points are too many for a teacher of ``levels`` noise levels; None if they are not."""
    if num_points <= levels:
        return None
    return f"{num_points} grid points, but the teacher was trained at {levels} levels of noise"


def states_problem(solver: SolverConfig) -> str | None:
    """Why a solver has no states to keep between noise and image, at times that all pairs share; None if it has."""
    if solver.num_steps is None:
        return f"solver {solver.name} chooses its own times, other ones for every batch; name a solver of fixed steps"
    if solver.num_steps == 1:
        return f"solver {solver.name} takes one step, which has no state between noise and image; raise num_steps"
    return None


class Tolerances(TypedDict):
    """Keyword arguments of an adaptive solver."""

    rtol: float
    atol: float


class SolverConfig(Section):
    """A deterministic solver of a model's ODE.

    Attributes:
        name: One of ``TEACHER_SOLVERS`` for a teacher, one of ``STUDENT_SOLVERS`` for a student.
        num_steps: Steps on the time grid; null for the adaptive ``dopri5``.
        rtol: Relative tolerance of ``dopri5``.
        atol: Absolute tolerance of ``dopri5``.
        grid: Times of the fixed steps. For a student: ``uniform``, ``cosine``, ``edm`` (Karras et al. 2022), or the
            num_steps + 1 times themselves, rising from 0 to 1. For a teacher: training times, ``uniform`` or
            ``quadratic`` (Song et al. 2021, app. D.2), which is denser towards the image.
        guidance: Of a teacher, whose guided ODE is another one; null for none.
    """

    name: Annotated[str, one_of((*TEACHER_SOLVERS, *STUDENT_SOLVERS))]
    num_steps: NumSteps | None = None
    rtol: Tolerance | None = None
    atol: Tolerance | None = None
    grid: GridName | tuple[float, ...] = "uniform"
    guidance: GuidanceConfig | None = None

    @model_validator(mode="after")
    def _settings_match_solver(self) -> SolverConfig:
        adaptive = self.name == "dopri5"
        if adaptive and (self.num_steps is not None or self.rtol is None or self.atol is None):
            raise ValueError("solver dopri5 takes rtol and atol, and num_steps: null")
        if not adaptive and (self.num_steps is None or self.rtol is not None or self.atol is not None):
            raise ValueError(f"solver {self.name} takes num_steps, and neither rtol nor atol")
        if self.grid != "uniform" and adaptive:
            raise ValueError(f"solver {self.name} takes no grid")
        owners = TEACHER_SOLVERS if self.grid == "quadratic" else STUDENT_SOLVERS
        if self.grid != "uniform" and self.name not in owners:
            raise ValueError(f"solver {self.name} takes no {self.grid} grid")
        if isinstance(self.grid, tuple):
            rising = all(start < end for start, end in itertools.pairwise(self.grid))
            if len(self.grid) != (self.num_steps or 0) + 1 or not rising or (self.grid[0], self.grid[-1]) != (0, 1):
                raise ValueError(
                    f"grid must be {(self.num_steps or 0) + 1} times rising from 0 to 1, found {list(self.grid)}"
                )
        return self

    @property
    def tolerances(self) -> Tolerances:
        """``rtol`` and ``atol`` of the adaptive solver."""
        assert self.rtol is not None  # validated
        assert self.atol is not None
        return {"rtol": self.rtol, "atol": self.atol}

    @property
    def steps(self) -> int:
        """Number of steps of a fixed-step solver."""
        assert self.num_steps is not None  # validated
        return self.num_steps

    @property
    def solves_diffusion_models(self) -> bool:
        """Whether it can solve a diffusion model's ODE."""
        return self.name in TEACHER_SOLVERS and self.grid in TEACHER_GRIDS

    @property
    def solves_flows(self) -> bool:
        """Whether it can solve a flow's ODE."""
        return self.name in STUDENT_SOLVERS and (isinstance(self.grid, tuple) or self.grid in STUDENT_GRIDS)

    @property
    def solves_flow_maps(self) -> bool:
        """Whether a student of two times can take its steps."""
        return self.name in FLOW_MAP_SOLVERS and self.solves_flows

    @property
    def label(self) -> str:
        """Name in tables: the solver, with its tolerance or a grid other than uniform, and its guidance."""
        parts = [self.name]
        if self.rtol is not None:
            parts.append(f"{self.rtol:g}")
        elif self.grid != "uniform":
            parts.append("given" if isinstance(self.grid, tuple) else self.grid)
        if self.guidance is not None:
            parts.append(self.guidance.label)
        return "-".join(parts)
