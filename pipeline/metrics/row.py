"""What the rows of images and of points have in common: the cell of the few-step table that they measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.config.section import LONGEST_NAME, NonNegativeFloat, PositiveInt
from pipeline.metrics.evaluations import possible_evaluations, solver_of_label
from pipeline.system.typed_content import NO_OTHER_KEYS

COUPLINGS_PREFIX = "couplings@"
ADAPTIVE = "adaptive"


def _known_label(label: str) -> str:
    solver_of_label(label)
    return label


Measured = Annotated[
    str,
    Field(pattern=rf"^({COUPLINGS_PREFIX})?[A-Za-z][A-Za-z0-9_-]*$", max_length=len(COUPLINGS_PREFIX) + LONGEST_NAME),
]
"""Name of a model or of couplings in a table."""
SolverLabel = Annotated[str, AfterValidator(_known_label)]
"""Solver in a table, with its grid and tolerances."""


@dataclass(frozen=True)
class Row:
    """One measured cell of the few-step table: a model with a solver and a number of steps.

    Read and written rows have only these fields, each number in its possible range: see
    :mod:`pipeline.system.typed_content`.

    Attributes:
        model: Name of the model, or ``couplings@<round>``.
        solver: Solver of the ODE, with its grid and tolerances unless they are the default.
        num_steps: Steps of the solver; None for an adaptive one.
        nfe: Counted network calls per sample, for adaptive solvers the mean; None for couplings.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    model: Measured
    solver: SolverLabel
    num_steps: PositiveInt | None
    nfe: NonNegativeFloat | None

    @model_validator(mode="after")
    def _evaluations_are_possible(self) -> Self:
        if (self.num_steps is None) != (solver_of_label(self.solver) == "dopri5"):
            raise ValueError(f"num_steps: {self.num_steps} of solver {self.solver}; dopri5 alone is adaptive")
        if self.is_couplings:
            if self.nfe is not None:
                raise ValueError(f"nfe: {self.nfe} of couplings, which are not sampled")
            return self
        least, most = possible_evaluations(self.solver, self.num_steps)
        if self.nfe is None or self.nfe < least or (most is not None and self.nfe > most):
            limit = f"at least {least}" if most is None else f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"nfe: {self.nfe}, where {self.solver} takes {limit} network calls")
        return self

    @property
    def cell(self) -> tuple[str, str, int | None]:
        """(model, solver, num_steps)."""
        return self.model, self.solver, self.num_steps

    @property
    def key(self) -> tuple[object, ...]:
        """What tells a row from all others of a table."""
        return self.cell

    @property
    def samples_key(self) -> str:
        """Name of its samples, see :func:`samples_key`."""
        return samples_key(self.solver, self.num_steps)

    @property
    def is_couplings(self) -> bool:
        """Whether this row measures couplings rather than a model."""
        return self.model.startswith(COUPLINGS_PREFIX)

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Columns of a table of such rows, in order."""
        return tuple(field.name for field in fields(cls) if field.metadata.get("column", True))


def samples_key(solver: str, num_steps: int | None) -> str:
    """Name of a cell's samples in ``samples/<model>.safetensors``, for example ``euler/4`` or ``dopri5/adaptive``."""
    return f"{solver}/{num_steps or ADAPTIVE}"


def require_cells_of(rows: Sequence[Row], keys: Sequence[str]) -> None:
    """ValueError unless ``keys`` are the names of the samples of ``rows`` and no others."""
    expected = [row.samples_key for row in rows]
    absent, others = sorted(set(expected) - set(keys)), sorted(set(keys) - set(expected))
    if absent:
        raise ValueError(f"no samples of {', '.join(absent)}")
    if others:
        raise ValueError(f"samples of {', '.join(others)}, which no row measures")


def parse_samples_key(key: str) -> tuple[str, int | None]:
    """Solver and number of steps (None for adaptive) from a name that :func:`samples_key` made.

    Raises:
        ValueError: If ``key`` is not such a name.
    """
    solver, steps = key.split("/")
    num_steps = None if steps == ADAPTIVE else int(steps)
    if samples_key(solver, num_steps) != key or not solver:
        raise ValueError(f"{key!r}, which names no cell")
    return solver, num_steps
