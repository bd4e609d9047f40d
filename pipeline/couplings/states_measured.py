"""What the manifest says of a shard's states, measured batch by batch."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.couplings.pair_measures import remaining_costs
from pipeline.flow.states import States


class StatesMeasured:
    """The states of one shard, added in batches."""

    def __init__(self) -> None:
        self._costs: list[np.ndarray] = []
        self._squared_error = 0.0

    def add(self, states: States, x_1: torch.Tensor) -> None:
        """Adds the states of a batch, and its images as they are stored."""
        self._costs.append(remaining_costs(states.z, x_1))
        self._squared_error += float(states.squared_error) * len(x_1)

    def read(self) -> dict[str, float] | None:
        """The values of a :class:`StoredStates`; None without states."""
        if not self._costs:
            return None
        costs = np.concatenate(self._costs)
        error = (self._squared_error / len(costs)) ** 0.5
        return {"float16_error": error, "remaining_cost": float(np.mean(costs))}
