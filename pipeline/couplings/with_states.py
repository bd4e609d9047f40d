"""A store as methods see it that learn the states between noise and image."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.couplings.manifest import MAKE_AGAIN
from pipeline.couplings.store import CouplingStore
from pipeline.system.errors import StraightflowError


class WithStates:
    """The pairs of a store together with their states, which :meth:`CouplingStore.load` leaves out.

    Args:
        store: The couplings.

    Raises:
        StraightflowError: If they keep no states.
    """

    def __init__(self, store: CouplingStore) -> None:
        if store.manifest.state_times is None:
            raise StraightflowError(
                expected=f"the states of the pairs in {store.folder}, which the student learns",
                found="none",
                mend=f"set states: true of these couplings; then {MAKE_AGAIN}",
            )
        self._store = store
        self.times: tuple[float, ...] = store.manifest.state_times

    def __len__(self) -> int:
        return len(self._store)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """What :meth:`CouplingStore.load` gives, and ``states``, float16, (len(indices), states, …), at ``times``."""
        return self._store.load(indices) | {"states": self._store.states(indices)}

    def locate(self, index: int) -> str:
        """Shard file and row of a pair, for messages."""
        return self._store.locate(index)
