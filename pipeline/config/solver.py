"""Solvers of a model's ODE."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pipeline.config.section import PositiveFloat, PositiveInt, Section

TEACHER_SOLVERS = ("unipc", "ddim")
STUDENT_SOLVERS = ("euler", "heun", "dopri5")


class SolverConfig(Section):
    """A deterministic solver of a model's ODE.

    Attributes:
        name: ``unipc`` or ``ddim`` for a teacher; ``euler``, ``heun`` or ``dopri5`` for a student.
        num_steps: Steps on the time grid; null for the adaptive ``dopri5``.
        rtol: Relative tolerance of ``dopri5``.
        atol: Absolute tolerance of ``dopri5``.
    """

    name: Literal["unipc", "ddim", "euler", "heun", "dopri5"]
    num_steps: PositiveInt | None = None
    rtol: PositiveFloat | None = None
    atol: PositiveFloat | None = None

    @model_validator(mode="after")
    def _settings_match_solver(self) -> SolverConfig:
        adaptive = self.name == "dopri5"
        if adaptive and (self.num_steps is not None or self.rtol is None or self.atol is None):
            raise ValueError("solver dopri5 takes rtol and atol, and num_steps: null")
        if not adaptive and (self.num_steps is None or self.rtol is not None or self.atol is not None):
            raise ValueError(f"solver {self.name} takes num_steps, and neither rtol nor atol")
        return self
