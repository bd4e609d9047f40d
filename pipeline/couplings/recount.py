"""What a manifest says of its pairs, measured again on the pairs themselves.

Hashes show that a shard is the one that the manifest names. They cannot show that the manifest was not edited, or two
shards exchanged together with their hashes: their images then belong to other noise, and the transport cost changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch

from pipeline.couplings.manifest import Manifest, ShardRecord, damaged
from pipeline.couplings.network_calls import network_calls
from pipeline.couplings.noise_normality import noise_normality
from pipeline.couplings.pair_measures import possibly_clipped, remaining_costs, transport_costs
from pipeline.couplings.store import CouplingStore
from pipeline.system.progress import Progress

_CHUNK = 4096
# Sums of float32 differ between machines and sizes of batches by far less.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6
_MOST_NAMED = 3


def require_true_manifest(store: CouplingStore) -> None:
    """Raises StraightflowError, naming fields of the manifest, if the pairs of an open store contradict it."""
    reasons = list(disagreements(store))
    if reasons:
        more = [f"and {len(reasons) - _MOST_NAMED} more"] if len(reasons) > _MOST_NAMED else []
        raise damaged(store.folder, "a manifest that agrees with its pairs", "; ".join([*reasons[:_MOST_NAMED], *more]))


def disagreements(store: CouplingStore) -> Iterator[str]:
    """Yields what the manifest of an open store says, and what the pairs in its shards say instead."""
    manifest = store.manifest
    yield from _calls_disagreement(manifest)
    dropped = np.ones(manifest.num_pairs, dtype=bool)
    dropped[store.seed_indices(np.arange(len(store)))] = False
    smallest_dropped = math.inf
    with Progress("measuring couplings", manifest.num_pairs, "pairs") as progress:
        for number, shard in enumerate(manifest.shards):
            start = number * manifest.shard_pairs
            measured = _Measured()
            for first in range(start, start + shard.num_pairs, _CHUNK):
                indices = np.arange(first, min(first + _CHUNK, start + shard.num_pairs))
                measured.add(store, indices)
                progress.advance(len(indices))
            yield from measured.disagreements(manifest, shard)
            costs = measured.costs()[dropped[start : start + shard.num_pairs]]
            smallest_dropped = min(smallest_dropped, float(costs.min(initial=math.inf)))
    pair_filter = manifest.pair_filter
    if pair_filter is not None and _differ(pair_filter.smallest_dropped_cost, smallest_dropped):
        yield f"pair_filter.smallest_dropped_cost {pair_filter.smallest_dropped_cost:.6g}, but {smallest_dropped:.6g}"


class _Measured:
    """The pairs of one shard, added in batches."""

    def __init__(self) -> None:
        self._costs: list[np.ndarray] = []
        self._noise: list[torch.Tensor] = []
        self._clipped = np.zeros(2, dtype=np.int64)
        self._labels: list[torch.Tensor] = []
        self._remaining: list[np.ndarray] = []

    def add(self, store: CouplingStore, indices: np.ndarray) -> None:
        pairs = store.load_made(indices)
        self._costs.append(transport_costs(pairs["x_0"], pairs["x_1"]).numpy())
        self._clipped += possibly_clipped(store.made_images(indices))
        if store.are_made_from_images(indices).any():
            self._noise.append(pairs["x_0"].half())
        if "labels" in pairs:
            self._labels.append(pairs["labels"])
        times = store.manifest.state_times or ()
        # As many states at once as there are images in a chunk.
        parts = np.array_split(np.arange(len(indices)), len(times)) if times else []
        for part in parts:
            self._remaining.append(remaining_costs(store.made_states(indices[part]), pairs["x_1"][part]).numpy())

    def costs(self) -> np.ndarray:
        return np.concatenate(self._costs)

    def disagreements(self, manifest: Manifest, shard: ShardRecord) -> Iterator[str]:
        cost = float(np.mean(self.costs()))
        if not math.isfinite(cost):
            return  # told by the gate as images that are not finite
        if _differ(shard.transport_cost, cost):
            yield (
                f"transport_cost {shard.transport_cost:.6g} of {shard.file}, but its images and their noise give "
                f"{cost:.6g}"
            )
        yield from self._clipped_disagreement(manifest, shard)
        if shard.noise is not None and self._noise:
            said = asdict(shard.noise)
            for name, value in asdict(noise_normality(torch.cat(self._noise))).items():
                if _differ(said[name], value):
                    yield f"noise.{name} {said[name]:.6g} of {shard.file}, but its noise gives {value:.6g}"
        if shard.states is not None:
            remaining = float(np.mean(np.concatenate(self._remaining)))
            if _differ(shard.states.remaining_cost, remaining):
                yield (
                    f"states.remaining_cost {shard.states.remaining_cost:.6g} of {shard.file}, but its images and "
                    f"their states give {remaining:.6g}"
                )
        classes = manifest.num_classes
        if classes is not None and self._labels:
            labels = torch.cat(self._labels)
            least, largest = int(labels.min()), int(labels.max())
            if least < 0 or largest >= classes:
                yield f"num_classes {classes}, but {shard.file} has labels from {least} to {largest}"

    def _clipped_disagreement(self, manifest: Manifest, shard: ShardRecord) -> Iterator[str]:
        entries = shard.num_pairs * math.prod(manifest.shape)
        # Points are not clipped, and real images were not before they were inverted.
        applies = manifest.space.is_bounded
        least, largest = (int(count) / entries if applies else 0.0 for count in self._clipped)
        if not least - 0.5 / entries <= shard.clipped_fraction <= largest + 0.5 / entries:
            between = f"{least:.6g}" if least == largest else f"{least:.6g} to {largest:.6g}"
            yield f"clipped_fraction {shard.clipped_fraction:.6g} of {shard.file}, but its images allow {between}"


def _calls_disagreement(manifest: Manifest) -> Iterator[str]:
    bounds = np.zeros(2)
    for shard in manifest.shards:
        solver = manifest.solver
        if shard.is_from_images and manifest.image_to_noise is not None:
            solver = manifest.image_to_noise.solver
        bounds += shard.num_pairs * np.array(network_calls(solver, to_noise=shard.is_from_images))
    least, largest = bounds / manifest.num_pairs
    if not least * (1 - 1e-9) <= manifest.nfe_mean <= largest * (1 + 1e-9):
        between = f"{least:g}" if least == largest else f"{least:g} to {largest:g}"
        yield f"nfe_mean {manifest.nfe_mean:g}, but {manifest.solver.label} takes {between} calls a pair"


def _differ(said: float, measured: float) -> bool:
    return not math.isclose(said, measured, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
