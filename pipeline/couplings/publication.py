"""The finished shards of a run as a store: linked into place with their manifest, all at once."""

from __future__ import annotations

import errno
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.couplings.coupling_run import CouplingRun
from pipeline.couplings.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    VERSION_WITH_STATES,
    Manifest,
    ShardRecord,
    StoredNoise,
    StoredStates,
    is_store_folder,
    shard_name,
)
from pipeline.couplings.pair_filter import write_pair_filter
from pipeline.couplings.unfinished import FinishedShard
from pipeline.data.space import LATENTS
from pipeline.flow.noise import noise_check, stream_key
from pipeline.models.counted import NetworkCalls
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_errors import advice

# Why a hard link fails: another file system, one without links, or too many links to one file.
_WITHOUT_LINKS = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


def publish(run: CouplingRun, destination: Path, cost: Path | None = None) -> None:
    """Writes the manifest and puts the finished store into place, and its :class:`Compute` into ``cost``.

    Raises:
        StraightflowError: If shards are still missing.
    """
    shards = [run.finished(shard) for shard in range(run.num_shards)]
    finished = [shard for shard in shards if shard is not None]
    if len(finished) < len(shards):
        missing = [shard_name(index) for index, shard in enumerate(shards) if shard is None]
        raise StraightflowError(
            expected=f"all {len(shards)} shards in {run.unfinished.folder}",
            found=f"{len(missing)} missing, the first of them {missing[0]}",
            mend="run again, or start the workers that were to make them",
        )
    try:
        # Beside its destination, which may be on another file system than the shards.
        with atomic_folder(destination, ours=is_store_folder) as staging:
            for shard in range(run.num_shards):
                _link(run.unfinished.path(shard), staging / shard_name(shard))
            costs = np.concatenate([np.array(shard.transport_costs) for shard in finished])
            pair_filter = write_pair_filter(staging, costs, run.config.drop_farthest_share)
            manifest = _manifest(run, finished).model_copy(update={"pair_filter": pair_filter})
            write_json(staging / MANIFEST, manifest.model_dump(mode="json"))
        if cost is not None:
            write_json(cost, asdict(_compute(run.sampler, finished)))
    except OSError as error:
        raise StraightflowError(
            expected=f"to publish the couplings at {destination}",
            found=one_line(error),
            mend=f"{advice(error)}; then run again: all shards are kept in {run.unfinished.folder}",
        ) from error
    shutil.rmtree(run.unfinished.folder)


def _manifest(run: CouplingRun, finished: list[FinishedShard]) -> Manifest:
    config, sampler = run.config, run.sampler
    return Manifest(
        format=FORMAT,
        version=VERSION_WITH_STATES if config.states else VERSION,
        num_pairs=config.num_pairs,
        shard_pairs=config.shard_pairs,
        shape=sampler.shape,
        samples="latents" if sampler.space is LATENTS else None,
        dtype=config.dtype,
        seed=config.seed,
        noise=sampler.noise,
        noise_check=noise_check(stream_key("couplings", config.seed), sampler.shape),
        source=config.source,
        source_fingerprint=sampler.fingerprint,
        solver=config.solver,
        nfe_mean=sum(shard.evaluations for shard in finished) / config.num_pairs,
        batch_size=config.batch_size,
        precision=sampler.runtime.precision,
        num_classes=sampler.num_classes,
        class_counts=sampler.class_counts,
        image_to_noise=config.image_to_noise,
        state_times=sampler.state_times(config.solver) if config.states else None,
        shards=tuple(
            ShardRecord(
                file=shard_name(index),
                num_pairs=len(shard.transport_costs),
                sha256=shard.sha256,
                clipped_fraction=shard.clipped_fraction,
                transport_cost=float(np.mean(shard.transport_costs)),
                direction=shard.direction,
                noise=None if shard.noise is None else StoredNoise(**shard.noise),
                states=None if shard.states is None else StoredStates(**shard.states),
                storage_error=shard.storage_error,
            )
            for index, shard in enumerate(finished)
        ),
    )


def _compute(sampler: Sampler, finished: list[FinishedShard]) -> Compute:
    """Of all shards, whenever and by whichever worker they were made."""
    calls = NetworkCalls(
        forward=sum(shard.samples_forward for shard in finished),
        by_guide=sum(shard.samples_by_guide for shard in finished),
    )
    return sampler.flops_per_sample.compute(calls, sum(shard.seconds for shard in finished))


def _link(source: Path, destination: Path) -> None:
    """Hard-links a file, or copies it where that is impossible, as across file systems."""
    try:
        destination.hardlink_to(source)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        shutil.copyfile(source, destination)
