"""What the rows of images and of points have in common: which cell of the few-step table they measure."""

from __future__ import annotations

from dataclasses import dataclass, fields

COUPLINGS_PREFIX = "couplings@"
ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class Row:
    """A measured cell of the few-step table.

    Attributes:
        model: Model, or ``couplings@<round>``.
        solver: Solver of the ODE, with its grid and tolerances where they are not the usual ones.
        num_steps: Steps of the solver; None for an adaptive one.
        nfe: Counted network calls per sample, the mean where an adaptive solver varies; None for couplings.
    """

    model: str
    solver: str
    num_steps: int | None
    nfe: float | None

    @property
    def cell(self) -> tuple[str, str, int | None]:
        """The cell itself; a table has one row of each."""
        return self.model, self.solver, self.num_steps

    @property
    def is_couplings(self) -> bool:
        """Whether this row measures a store of couplings and not a model."""
        return self.model.startswith(COUPLINGS_PREFIX)

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Columns of a table of such rows, in order."""
        return tuple(field.name for field in fields(cls))


def samples_key(solver: str, num_steps: int | None) -> str:
    """Name of a cell's samples in ``samples/<model>.safetensors``, for example ``euler/4`` or ``dopri5/adaptive``."""
    return f"{solver}/{num_steps or ADAPTIVE}"


def parse_samples_key(key: str) -> tuple[str, int | None]:
    """Solver and steps of a name by :func:`samples_key`.

    Raises:
        ValueError: If it is no such name.
    """
    solver, steps = key.split("/")
    return solver, None if steps == ADAPTIVE else int(steps)
