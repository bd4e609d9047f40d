"""One measured cell of the few-step table of points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import model_validator

from pipeline.config.section import NonNegativeFloat, NonNegativeInt, PositiveInt, Seed, UnitFloat
from pipeline.metrics.row import Row


@dataclass(frozen=True)
class PointRow(Row):
    """One measured cell, with everything that its values depend on.

    Attributes:
        nfe: Counted network calls, the same for every point; None for couplings.
        sliced_wasserstein: Distance to as many fresh points, see :mod:`pipeline.metrics.points`.
        sliced_wasserstein_floor: Mean distance between two sets of fresh points, over several pairs of sets: the
            sampling noise.
        energy_distance: Energy distance to the same fresh points.
        inside_share: Share of points in the support (the checkerboard's dark cells), in [0, 1]; None if it has no edge.
        num_samples: Points in each of the two sets.
        num_projections: Projection directions of the sliced distance.
        seed: Seed of noise, fresh points and directions.
        seconds_per_1000: Seconds of sampling per 1,000 points; None for couplings.
    """

    nfe: NonNegativeInt | None
    sliced_wasserstein: NonNegativeFloat
    sliced_wasserstein_floor: NonNegativeFloat
    energy_distance: NonNegativeFloat
    inside_share: UnitFloat | None
    num_samples: PositiveInt
    num_projections: PositiveInt
    seed: Seed
    seconds_per_1000: NonNegativeFloat | None

    @model_validator(mode="after")
    def _sampling_is_of_models(self) -> Self:
        if self.is_couplings and self.seconds_per_1000 is not None:
            raise ValueError(f"seconds_per_1000: {self.seconds_per_1000} of couplings, which are not sampled")
        return self
