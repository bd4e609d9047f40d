"""What the gate measured of a store, as it is written beside it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.section import NonNegativeFloat, NonNegativeInt, PositiveInt, UnitFloat
from pipeline.system.typed_content import NO_OTHER_KEYS


@dataclass(frozen=True, kw_only=True)
class CouplingsCheck:
    """What the gate measured; fields with a default are not in records of earlier stores.

    Attributes:
        num_pairs: Pairs trained on.
        num_dropped: Pairs left out by the pair filter.
        clipped_fraction: Share of image entries clearly outside [-1, 1] before storing; None if not recorded.
        transport_cost_per_dim: Mean ‖x_1 - x_0‖²/d over all pairs, d = C·H·W.
        reintegration_error: As in :class:`pipeline.couplings.reintegration.Reintegration`; None if not recorded.
        inversion_error: As there.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    num_pairs: PositiveInt
    num_dropped: NonNegativeInt = 0
    clipped_fraction: UnitFloat | None = None
    transport_cost_per_dim: NonNegativeFloat
    reintegration_error: NonNegativeFloat | None = None
    inversion_error: NonNegativeFloat | None = None
