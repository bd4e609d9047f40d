"""Solves some pairs of every shard again, to check that its images and noise still belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.couplings.pairs import inversion_noise
from pipeline.couplings.store import CouplingStore
from pipeline.data.order import evenly_spaced
from pipeline.models.sampler import Sampler
from pipeline.system.blocks import batches_of

SHARD_PAIRS = 4
"""Least number of pairs of each shard that are solved again; all of a shard that has fewer."""


@dataclass(frozen=True)
class Reintegration:
    """How far pairs are from what the source makes of them now.

    Attributes:
        reintegration_error: Mean ‖x̂_1 - x_1‖/‖x_1‖ over evenly spaced pairs made from noise, where x̂_1 is the
            source's image of the same noise; None if there are none. Storing 8 bits alone gives about 0.003.
        inversion_error: The same for pairs made from images, so for image → noise → image.
        by_shard: Mean relative error of what each shard's ODE ended in: of the images in shards made from noise, of the
            noise (‖x̂_0 - x_0‖/‖x_0‖) in shards made from images. Missing are shards without kept pairs, and shards
            made from images if the manifest does not say how.
        states_by_shard: Mean relative error of each shard's stored states, ‖ẑ - z‖/‖z‖ over all of a pair's; empty
            where none are kept.
    """

    reintegration_error: float | None
    inversion_error: float | None
    by_shard: dict[int, float]
    states_by_shard: dict[int, float]


def reintegrate(store: CouplingStore, source: Sampler, num_pairs: int) -> Reintegration:
    """Solves ``num_pairs`` pairs of each direction again, and more where a shard has too few among them.

    Args:
        store: The couplings.
        source: What made them, of the same shape.
        num_pairs: Spread evenly over the store.
    """
    from_images = store.are_from_images(np.arange(len(store)))
    forward, backward = np.flatnonzero(~from_images), np.flatnonzero(from_images)
    means: list[float | None] = []
    by_shard: dict[int, float] = {}
    states_by_shard: dict[int, float] = {}
    for candidates in (forward, backward):
        spread = candidates[evenly_spaced(len(candidates), num_pairs)] if len(candidates) else candidates
        chosen = _with_every_shard(store, candidates, spread)
        both = _in_batches(store, chosen, lambda indices: _image_and_state_errors(store, source, indices))
        errors, state_errors = both[:, 0], both[:, 1]
        means.append(float(errors[np.isin(chosen, spread)].mean()) if len(chosen) else None)
        if candidates is backward and store.manifest.image_to_noise is not None:
            errors = _in_batches(store, chosen, lambda indices: _noise_errors(store, source, indices))
        elif candidates is backward:
            continue
        by_shard |= _means_by_shard(store, chosen, errors)
        if candidates is forward and store.manifest.state_times is not None:
            states_by_shard = _means_by_shard(store, chosen, state_errors)
    return Reintegration(means[0], means[1], by_shard, states_by_shard)


def _means_by_shard(store: CouplingStore, chosen: np.ndarray, errors: np.ndarray) -> dict[int, float]:
    shards = store.shards_of(chosen)
    return {int(shard): float(errors[shards == shard].mean()) for shard in np.unique(shards)}


def _with_every_shard(store: CouplingStore, candidates: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """``spread``, with more pairs of each shard that has fewer than SHARD_PAIRS in it; rising."""
    chosen, shards, have = [spread], store.shards_of(candidates), store.shards_of(spread)
    for shard in np.unique(shards):
        if (have == shard).sum() < SHARD_PAIRS:
            of_shard = candidates[shards == shard]
            chosen.append(of_shard[evenly_spaced(len(of_shard), SHARD_PAIRS)])
    return np.unique(np.concatenate(chosen))


def _in_batches(store: CouplingStore, chosen: np.ndarray, errors: Callable[[np.ndarray], torch.Tensor]) -> np.ndarray:
    size = store.manifest.batch_size
    parts = [errors(chosen[rows]) for rows in batches_of(range(len(chosen)), size)]
    return torch.cat(parts).numpy() if parts else np.empty((0, 2), dtype=np.float32)


def _image_and_state_errors(store: CouplingStore, source: Sampler, indices: np.ndarray) -> torch.Tensor:
    """(batch, 2); states that are not kept have no error."""
    pairs, kept = store.load(indices), store.manifest.state_times is not None
    solution = source.sample(pairs["x_0"], store.manifest.solver, pairs.get("labels"), keep_states=kept)
    drawn = solution.x.float().cpu()
    if store.manifest.dtype == "uint8":
        drawn = drawn.clamp(-1, 1)
    errors = _relative(drawn, pairs["x_1"])
    if solution.states is None:
        return torch.stack([errors, torch.zeros_like(errors)], dim=1)
    return torch.stack([errors, _relative(solution.states.cpu().z.float(), store.states(indices).float())], dim=1)


def _noise_errors(store: CouplingStore, source: Sampler, indices: np.ndarray) -> torch.Tensor:
    manifest, pairs = store.manifest, store.load(indices)
    assert manifest.image_to_noise is not None  # the caller looked
    noise = inversion_noise(source, manifest.seed, store.seed_indices(indices).tolist())
    found = source.invert(pairs["x_1"], noise, manifest.image_to_noise.solver, pairs.get("labels")).x.float().cpu()
    return _relative(found, pairs["x_0"])


def _relative(found: torch.Tensor, stored: torch.Tensor) -> torch.Tensor:
    """‖found - stored‖/‖stored‖ of each pair, (batch,)."""
    errors: torch.Tensor = (found - stored).flatten(1).norm(dim=1) / stored.flatten(1).norm(dim=1).clamp(min=1e-12)
    return errors
