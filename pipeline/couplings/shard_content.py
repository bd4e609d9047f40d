"""What a shard will hold, gathered batch by batch while a device goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from pipeline.couplings.noise_normality import noise_normality
from pipeline.couplings.shard import IMAGES, NOISE
from pipeline.couplings.stored_pairs import CHECKED, StoredPairs
from pipeline.system.copies import copy_to_host, host_buffer


@dataclass(frozen=True)
class Measured:
    """What a shard's record says of its pairs, see :class:`pipeline.couplings.unfinished.FinishedShard`."""

    clipped_fraction: float
    transport_costs: np.ndarray
    noise: dict[str, float] | None
    states: dict[str, float] | None
    storage_error: float | None


class ShardContent:
    """The tensors of one shard in the host's memory, and the sums of its batches on the device until they are read.

    Args:
        num_pairs: Pairs of the shard.
        device: Where its batches are made.
    """

    def __init__(self, num_pairs: int, device: torch.device) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._num_pairs, self._device = num_pairs, device
        self._batches: list[tuple[int, StoredPairs]] = []
        self._finite: list[torch.Tensor] = []

    def add(self, stored: StoredPairs, start: int) -> None:
        """Starts to copy a batch to the host, as the pairs from row ``start`` on."""
        size = len(stored.transport_costs)
        for name, values in stored.tensors.items():
            if name not in self.tensors:
                self.tensors[name] = host_buffer((self._num_pairs, *values.shape[1:]), values.dtype, self._device)
            copy_to_host(values, self.tensors[name][start : start + size])
        self._finite.append(host_buffer((len(CHECKED),), torch.bool, self._device))
        copy_to_host(stored.finite, self._finite[-1])
        self._batches.append((size, replace(stored, tensors={})))  # not kept on the device

    def not_finite(self, batch: int) -> str | None:
        """Which of ``CHECKED`` is not finite in a batch, by its number, that the device has done; None if all are."""
        for name, is_finite in zip(CHECKED, self._finite[batch].tolist(), strict=True):
            if not is_finite:
                return name
        return None

    def measured(self) -> Measured:
        """The measures of all pairs; waits for the device."""
        sums = [sums for _, sums in self._batches]
        counts = [each.num_clipped for each in sums if each.num_clipped is not None]
        clipped = int(torch.stack(counts).sum()) if counts else 0
        costs = torch.cat([each.transport_costs for each in sums])
        num_entries = self.tensors[IMAGES].numel()
        errors = [each.storage_squared_error for each in sums if each.storage_squared_error is not None]
        storage_error = float(torch.stack(errors).sum() / num_entries) ** 0.5 if errors else None
        return Measured(clipped / num_entries, costs.cpu().numpy(), self._noise(), self._states(), storage_error)

    def _noise(self) -> dict[str, float] | None:
        if NOISE not in self.tensors:
            return None
        errors = [sums.noise_squared_errors for _, sums in self._batches if sums.noise_squared_errors is not None]
        error = float(torch.cat(errors).mean().sqrt())
        return asdict(noise_normality(self.tensors[NOISE])) | {"float16_error": error}

    def _states(self) -> dict[str, float] | None:
        costs = [sums.remaining_costs for _, sums in self._batches if sums.remaining_costs is not None]
        if not costs:
            return None
        squared_error = 0.0
        for size, sums in self._batches:
            assert sums.states_squared_error is not None  # every batch of the shard has states
            squared_error += float(sums.states_squared_error) * size
        error = (squared_error / self._num_pairs) ** 0.5
        return {"float16_error": error, "remaining_cost": float(np.mean(torch.cat(costs).cpu().numpy()))}
