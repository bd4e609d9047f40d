"""How a round's couplings are drawn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.section import ModelName, NonNegativeInt, PositiveInt, Section
from pipeline.config.solver import SolverConfig


class CouplingsConfig(Section):
    """Couplings of one round.

    Attributes:
        source: Model whose ODE maps noise to images: ``teacher`` or an earlier round.
        num_pairs: Pairs in the store.
        solver: How the ODE is solved.
        batch_size: Images per network call, per process.
        shard_pairs: Pairs per shard file.
        dtype: Stored type of images.
        seed: Store seed; pair i's noise is a function of it and i alone.
        drop_farthest_share: Share of pairs to leave out, those with the largest ‖x_1 - x_0‖.
    """

    source: ModelName
    num_pairs: PositiveInt
    solver: SolverConfig
    batch_size: PositiveInt
    shard_pairs: PositiveInt
    dtype: Literal["uint8", "float16", "float32"]
    seed: NonNegativeInt
    drop_farthest_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
