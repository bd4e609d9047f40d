"""What the rows of images and of points have in common: the cell of the few-step table that they measure."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipeline.config.section import NonNegativeFloat, PositiveInt

COUPLINGS_PREFIX = "couplings@"
ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class Row:
    """One measured cell of the few-step table: a model with a solver and a number of steps.

    Attributes:
        model: Name of the model, or ``couplings@<round>``.
        solver: Solver of the ODE, with its grid and tolerances unless they are the default.
        num_steps: Steps of the solver; None for an adaptive one.
        nfe: Counted network calls per sample, for adaptive solvers the mean; None for couplings.
    """

    model: str
    solver: str
    num_steps: PositiveInt | None
    nfe: NonNegativeFloat | None

    @property
    def cell(self) -> tuple[str, str, int | None]:
        """(model, solver, num_steps)."""
        return self.model, self.solver, self.num_steps

    @property
    def key(self) -> tuple[object, ...]:
        """What tells a row from all others of a table."""
        return self.cell

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


def parse_samples_key(key: str) -> tuple[str, int | None]:
    """Solver and number of steps (None for adaptive) from a name that :func:`samples_key` made.

    Raises:
        ValueError: If ``key`` is not such a name.
    """
    solver, steps = key.split("/")
    return solver, None if steps == ADAPTIVE else int(steps)
