"""Where trajectories start."""

from __future__ import annotations

from pipeline.config.section import FiniteFloat, PositiveFloat, Section


class NoiseConfig(Section):
    """The distribution of x_0, N(mean, std² I).

    Attributes:
        mean: One entry per coordinate of a point; null for 0.
        std: Standard deviation of every entry.
    """

    mean: tuple[FiniteFloat, ...] | None = None
    std: PositiveFloat = 1.0


STANDARD_NOISE = NoiseConfig()
