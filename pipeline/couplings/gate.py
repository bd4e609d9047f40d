"""The gate before training: refuses couplings that would train something wrong, and lists every reason.

Shards may be made at different times, by different code and machines. Limits apply to each shard, since one bad shard
among many would not show in the mean.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import torch

from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.couplings.check_record import CouplingsCheck
from pipeline.couplings.manifest import MAKE_AGAIN, Manifest
from pipeline.couplings.recount import disagreements
from pipeline.couplings.reintegration import Reintegration, reintegrate
from pipeline.couplings.store import CouplingStore
from pipeline.flow.noise import sample_labels, stream_key
from pipeline.models.sampler import Sampler
from pipeline.system.blocks import batches_of
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress

_CHUNK = 4096


def check_couplings(
    store: CouplingStore, promised: CouplingsConfig, limits: GateConfig, source: Sampler
) -> CouplingsCheck:
    """Checks an open store; opening it has already verified its hashes and noise check.

    Args:
        store: The couplings.
        promised: Their configuration.
        limits: What they must satisfy.
        source: The model they are said to come from.

    Raises:
        StraightflowError: Naming every reason against the store.
    """
    manifest = store.manifest
    dropped = 0 if manifest.pair_filter is None else manifest.pair_filter.num_dropped
    fits = (source.shape, source.num_classes) == (manifest.shape, manifest.num_classes)
    fits = fits and not list(_solver_reasons(manifest, source))
    solved = Reintegration(None, None, {}, {})
    if fits:
        with source.runtime.uncompiled():
            solved = reintegrate(store, source, limits.reintegrated_pairs)
    check = CouplingsCheck(
        num_pairs=len(store),
        num_dropped=dropped,
        clipped_fraction=manifest.clipped_fraction,
        transport_cost_per_dim=manifest.transport_cost,
        reintegration_error=solved.reintegration_error,
        inversion_error=solved.inversion_error,
    )
    reasons = [
        *_reasons(store, promised, source),
        *_solver_reasons(manifest, source),
        *_clipped_reasons(store, limits.max_clipped_fraction),
        *_reintegration_reasons(store, solved.by_shard, limits.max_reintegration_error),
        *_states_reasons(store, solved.states_by_shard, limits.max_reintegration_error),
        *_label_reasons(store, promised, source),
        *_content_reasons(store),
        *disagreements(store),
    ]
    if reasons:
        raise StraightflowError(
            expected=f"couplings fit to train on in {store.folder}",
            found="\n          ".join(reasons),
            mend=f"correct their source or solver; then {MAKE_AGAIN}; limits are under gate",
        )
    return check


def _reasons(store: CouplingStore, promised: CouplingsConfig, source: Sampler) -> Iterator[str]:
    """What is wrong with the store as a whole."""
    manifest = store.manifest
    if manifest.num_pairs < promised.num_pairs:
        yield f"{manifest.num_pairs} pairs, {promised.num_pairs} were promised"
    if promised.states and manifest.state_times is None:
        yield "no states, but states: true promised them"
    if source.shape != manifest.shape:
        yield f"pairs of shape {manifest.shape}, but {promised.source} has {source.shape}"
    if source.space is not manifest.space:
        yield f"{manifest.space.noun}s, but {promised.source} makes {source.space.noun}s"
    if manifest.num_classes != source.num_classes:
        yield f"num_classes {manifest.num_classes}, but {promised.source} has {source.num_classes}"
    if manifest.source_fingerprint != source.fingerprint:
        yield (
            f"made by {manifest.source} with fingerprint {manifest.source_fingerprint[:12]}, but "
            f"{promised.source} has {source.fingerprint[:12]}: it changed since"
        )


def _solver_reasons(manifest: Manifest, source: Sampler) -> Iterator[str]:
    """Solvers that the store names and the source does not take."""
    inverted = () if manifest.image_to_noise is None else (manifest.image_to_noise.solver,)
    for solver in (manifest.solver, *inverted):
        if not (solver.solves_flows if source.noise_schedule is None else solver.solves_diffusion_models):
            yield f"solver {solver.label}, which {manifest.source} does not take"
            return
        problem = None if solver.guidance is None else source.guidance_problem(solver.guidance)
        if problem is not None:
            yield f"solver {solver.label}, but {manifest.source} has {problem}"
    if manifest.state_times is not None:
        times = source.state_times(manifest.solver)
        # Machines may round a schedule's coefficients otherwise.
        if not np.allclose(manifest.state_times, times, rtol=1e-5, atol=0):
            yield f"state_times {list(manifest.state_times)}, but {manifest.source} is solved at {list(times)}"


def _label_reasons(store: CouplingStore, promised: CouplingsConfig, source: Sampler) -> Iterator[str]:
    """Classes drawn otherwise than promised, or that are not those of their noise."""
    manifest, conditions = store.manifest, source.num_conditions
    if manifest.num_classes is None or conditions is None or manifest.num_classes != source.num_classes:
        return
    counts = source.drawing(promised.classes).class_counts
    if manifest.class_counts != counts:
        both = (manifest.class_counts, counts)
        said, wanted = ("none, all drawn alike" if item is None else str(item)[:80] for item in both)
        yield f"class_counts: {said}, but classes: {promised.classes} of {promised.source} promised {wanted}"
        return
    key = stream_key("couplings", manifest.seed)
    for rows in batches_of(range(len(store)), _CHUNK):
        indices = np.array(rows)
        made = store.seed_indices(indices)
        drawn = sample_labels(key, made.tolist(), conditions, counts).numpy()
        wrong = np.flatnonzero((store.labels(indices) != drawn) & ~store.are_made_from_images(made))
        if len(wrong):
            yield f"a class that was not drawn for its noise, in {store.locate(int(indices[wrong[0]]))}"
            return


def _clipped_reasons(store: CouplingStore, limit: float) -> Iterator[str]:
    clipped = {index: shard.clipped_fraction for index, shard in enumerate(store.manifest.shards)}
    for worst in _beyond(clipped, limit):
        yield (
            f"{clipped[worst]:.2%} of image entries outside [-1, 1] in {_place(store, worst)}, at most {limit:.2%} "
            "allowed: the solver is unstable or takes too few steps"
        )


def _reintegration_reasons(store: CouplingStore, errors: dict[int, float], limit: float) -> Iterator[str]:
    for worst in _beyond(errors, limit):
        yield (
            f"re-integration error {errors[worst]:.3g} in {_place(store, worst)}, at most {limit:.3g} allowed: "
            "the images do not belong to their noise"
        )


def _states_reasons(store: CouplingStore, errors: dict[int, float], limit: float) -> Iterator[str]:
    for worst in _beyond(errors, limit):
        yield (
            f"re-integration error {errors[worst]:.3g} of the states in {_place(store, worst)}, at most {limit:.3g} "
            "allowed: they are not where the solver goes from their noise"
        )


def _beyond(values: dict[int, float], limit: float) -> list[int]:
    """The shard with the largest value, if that is above ``limit``; NaN counts as above every limit."""
    worst = max(values, key=lambda shard: math.inf if math.isnan(values[shard]) else values[shard], default=None)
    return [] if worst is None or values[worst] <= limit else [worst]


def _place(store: CouplingStore, shard: int) -> str:
    return f"{store.manifest.shards[shard].file}, the worst of {len(store.manifest.shards)} shards"


def _content_reasons(store: CouplingStore) -> Iterator[str]:
    """What is wrong with noises and images, found in one pass over all pairs."""
    digests = np.empty(len(store), dtype=np.uint64)
    broken: dict[str, list[int]] = {"not finite": [], "constant": []}
    with Progress("checking couplings", len(store), "pairs") as progress:
        for rows in batches_of(range(len(store)), _CHUNK):
            indices = np.array(rows)
            images = store.images(indices).flatten(1)
            if images.is_floating_point():
                broken["not finite"] += (rows.start + torch.nonzero(~images.isfinite().all(1))[:, 0]).tolist()
            if store.manifest.space.is_visual:
                broken["constant"] += (rows.start + torch.nonzero((images == images[:, :1]).all(1))[:, 0]).tolist()
            digests[indices] = [_digest(row) for row in store.noise_heads(indices).numpy()]
            progress.advance(len(indices))
    for kind, pairs in broken.items():
        if pairs:
            yield f"{len(pairs)} {kind} images, the first in {store.locate(pairs[0])}"
    if math.prod(store.manifest.shape) == 1:
        return  # a float32 normal takes about 2^24 values, so thousands of valid ones repeat
    repeated = np.flatnonzero(np.diff(np.sort(digests)) == 0)
    if len(repeated):
        twins = np.flatnonzero(digests == np.sort(digests)[repeated[0]])
        yield (
            f"{len(repeated)} repeated noises, the first in {store.locate(int(twins[0]))} and "
            f"{store.locate(int(twins[1]))}"
        )


def _digest(noise: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(noise.tobytes(), digest_size=8).digest(), "little")
