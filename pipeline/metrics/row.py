"""One measured cell of the few-step table."""

from __future__ import annotations

from dataclasses import dataclass, fields

COUPLINGS_PREFIX = "couplings@"


@dataclass(frozen=True)
class Row:
    """One measured cell; carries everything that its FID depends on.

    Attributes:
        model: Model, or ``couplings@<round>``.
        solver: Solver of the ODE.
        num_steps: Steps of the solver; None for an adaptive one.
        nfe: Counted network calls per image; None for couplings.
        fid: Fréchet distance of features, ≥ 0.
        features: Name of the features.
        num_samples: Generated images.
        reference: Split compared with.
        seed: Seed of the noise.
        seconds_per_1000: Seconds of sampling per 1,000 images; None for couplings.
    """

    model: str
    solver: str
    num_steps: int | None
    nfe: int | None
    fid: float
    features: str
    num_samples: int
    reference: str
    seed: int
    seconds_per_1000: float | None

    @property
    def is_couplings(self) -> bool:
        """Whether this row measures a store of couplings and not a model."""
        return self.model.startswith(COUPLINGS_PREFIX)


COLUMNS = tuple(field.name for field in fields(Row))
