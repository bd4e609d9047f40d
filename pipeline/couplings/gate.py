"""The gate before training: refuses couplings that would train something wrong, with every reason."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.couplings.store import CouplingStore
from pipeline.data.order import evenly_spaced
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress

_CHUNK = 4096


@dataclass(frozen=True)
class CouplingsCheck:
    """What the gate measured on the way.

    Attributes:
        num_pairs: Pairs trained on.
        num_dropped: Pairs left out by the pair filter.
        clipped_fraction: Share of image entries clearly outside [-1, 1] before storing.
        transport_cost_per_dim: Mean ‖x_1 - x_0‖²/d over all pairs, d = C·H·W.
        reintegration_error: Mean ‖x̂_1 - x_1‖/‖x_1‖ of a sample of pairs made from noise, drawn anew; None where
            there are none. Storing 8 bits alone gives about 0.003.
        inversion_error: The same of pairs made from images, so of image → noise → image.
    """

    num_pairs: int
    num_dropped: int
    clipped_fraction: float
    transport_cost_per_dim: float
    reintegration_error: float | None
    inversion_error: float | None


def check_couplings(
    store: CouplingStore, promised: CouplingsConfig, limits: GateConfig, source: Sampler
) -> CouplingsCheck:
    """Checks a store, whose hashes and noise check its opening has verified already.

    Args:
        store: The couplings.
        promised: Their configuration.
        limits: What they must satisfy.
        source: The model they are said to come from.

    Raises:
        StraightflowError: Naming every reason against the store.
    """
    manifest = store.manifest
    from_images = store.are_from_images(np.arange(len(store)))
    dropped = 0 if manifest.pair_filter is None else manifest.pair_filter.num_dropped
    check = CouplingsCheck(
        num_pairs=len(store),
        num_dropped=dropped,
        clipped_fraction=manifest.clipped_fraction,
        transport_cost_per_dim=manifest.transport_cost,
        reintegration_error=_reintegration_error(store, source, np.flatnonzero(~from_images), limits),
        inversion_error=_reintegration_error(store, source, np.flatnonzero(from_images), limits),
    )
    reasons = [*_reasons(store, promised, limits, source, check), *_content_reasons(store)]
    if reasons:
        raise StraightflowError(
            expected=f"couplings fit to train on in {store.folder}",
            found="\n          ".join(reasons),
            mend=f"delete {store.folder} and make the couplings again with `dvc repro`, after correcting their source "
            "or solver; limits are under gate",
        )
    return check


def _reasons(
    store: CouplingStore, promised: CouplingsConfig, limits: GateConfig, source: Sampler, check: CouplingsCheck
) -> Iterator[str]:
    manifest = store.manifest
    if manifest.num_pairs < promised.num_pairs:
        yield f"{manifest.num_pairs} pairs, {promised.num_pairs} were promised"
    if manifest.source_fingerprint != source.fingerprint:
        yield (
            f"made by {manifest.source} with fingerprint {manifest.source_fingerprint[:12]}, but "
            f"{promised.source} has {source.fingerprint[:12]}: it changed since"
        )
    if check.clipped_fraction > limits.max_clipped_fraction:
        yield (
            f"{check.clipped_fraction:.2%} of image entries outside [-1, 1], at most "
            f"{limits.max_clipped_fraction:.2%} allowed: the solver is unstable or takes too few steps"
        )
    if check.reintegration_error is not None and not check.reintegration_error <= limits.max_reintegration_error:
        yield (
            f"re-integration error {check.reintegration_error:.3g}, at most {limits.max_reintegration_error:.3g} "
            "allowed: the images do not belong to their noise"
        )


def _content_reasons(store: CouplingStore) -> Iterator[str]:
    """What is wrong with noises and images, found in one pass over all pairs."""
    digests = np.empty(len(store), dtype=np.uint64)
    broken: dict[str, list[int]] = {"not finite": [], "constant": []}
    with Progress("checking couplings", len(store), "pairs") as progress:
        for start in range(0, len(store), _CHUNK):
            indices = np.arange(start, min(start + _CHUNK, len(store)))
            images = store.images(indices).flatten(1)
            if images.is_floating_point():
                broken["not finite"] += (start + torch.nonzero(~images.isfinite().all(1))[:, 0]).tolist()
            if store.manifest.space.is_visual:
                broken["constant"] += (start + torch.nonzero((images == images[:, :1]).all(1))[:, 0]).tolist()
            digests[indices] = [_digest(row) for row in store.noise_heads(indices).numpy()]
            progress.advance(len(indices))
    for kind, pairs in broken.items():
        if pairs:
            yield f"{len(pairs)} {kind} images, the first in {store.locate(pairs[0])}"
    if math.prod(store.manifest.shape) == 1:
        return  # float32 has about 2^24 normal numbers, so that thousands of honest ones repeat
    repeated = np.flatnonzero(np.diff(np.sort(digests)) == 0)
    if len(repeated):
        twins = np.flatnonzero(digests == np.sort(digests)[repeated[0]])
        yield (
            f"{len(repeated)} repeated noises, the first in {store.locate(int(twins[0]))} and "
            f"{store.locate(int(twins[1]))}"
        )


def _digest(noise: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(noise.tobytes(), digest_size=8).digest(), "little")


def _reintegration_error(
    store: CouplingStore, source: Sampler, candidates: np.ndarray, limits: GateConfig
) -> float | None:
    """Mean relative L2 distance between stored images and the source's images of the same noise."""
    if not len(candidates) or source.shape != store.manifest.shape:
        return None
    chosen = candidates[evenly_spaced(len(candidates), limits.reintegrated_pairs)]
    pairs = store.load(chosen)
    drawn = source.sample(pairs["x_0"], store.manifest.solver, pairs.get("labels")).x.float().cpu()
    if store.manifest.dtype == "uint8":
        drawn = drawn.clamp(-1, 1)
    distance = (drawn - pairs["x_1"]).flatten(1).norm(dim=1) / pairs["x_1"].flatten(1).norm(dim=1).clamp(min=1e-12)
    return float(distance.mean())
