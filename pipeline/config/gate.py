"""What couplings must satisfy before anything is trained on them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.section import NonNegativeFloat, PositiveInt, Section


class GateConfig(Section):
    """Limits that a store of couplings must keep.

    Attributes:
        max_clipped_fraction: Largest share of image entries that lay clearly outside [-1, 1].
        max_reintegration_error: Largest mean of ‖x̂_1 - x_1‖/‖x_1‖, x̂_1 the source's image of the same noise, drawn
            anew.
        reintegrated_pairs: Pairs drawn anew, spread evenly over the store.
    """

    max_clipped_fraction: Annotated[float, Field(ge=0, le=1)]
    max_reintegration_error: NonNegativeFloat
    reintegrated_pairs: PositiveInt
