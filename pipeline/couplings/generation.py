"""Making couplings: resumable by shard, divided over workers, published whole."""

from __future__ import annotations

import errno
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.config.couplings import CouplingsConfig
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
from pipeline.couplings.noise_normality import noise_normality
from pipeline.couplings.pair_filter import write_pair_filter
from pipeline.couplings.pair_measures import num_clipped, remaining_costs, transport_costs
from pipeline.couplings.pairs import Pairs, drawn_ahead, pair_source
from pipeline.couplings.shard import IMAGES, LABELS, NOISE, STATES
from pipeline.couplings.unfinished import PREFIX, FinishedShard, UnfinishedStore, Worker
from pipeline.data.pixels import from_stored, to_stored
from pipeline.data.sample_set import SampleSet
from pipeline.flow.noise import noise_check, stream_key
from pipeline.flow.states import States
from pipeline.models.counted import NetworkCalls
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.code import NO_CODE
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_errors import advice
from pipeline.system.fingerprint import fingerprint_json
from pipeline.system.memory import require_memory
from pipeline.system.progress import Progress
from pipeline.system.replacing import require_replaceable

# Why a hard link fails: another file system, one without links, or too many links to one file.
_WITHOUT_LINKS = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)

# Settings that change the whole store but not the content of a full shard.
_NOT_OF_A_SHARD = {"num_pairs", "drop_farthest_share"}


@dataclass(frozen=True)
class CouplingRun:
    """A store in the making.

    Attributes:
        sampler: Model that the pairs are drawn from.
        config: How.
        unfinished: Its finished shards.
        images: Real images, for the pairs made from them.
    """

    sampler: Sampler
    config: CouplingsConfig
    unfinished: UnfinishedStore
    images: SampleSet | None = None

    @property
    def num_shards(self) -> int:
        """Shards of the whole store."""
        return -(-self.config.num_pairs // self.config.shard_pairs)

    def indices(self, shard: int) -> range:
        """Indices of the pairs in a shard."""
        size = self.config.shard_pairs
        return range(shard * size, min((shard + 1) * size, self.config.num_pairs))

    def finished(self, shard: int) -> FinishedShard | None:
        """The record of a shard, if it is made."""
        return self.unfinished.finished(shard, len(self.indices(shard)))


def open_run(
    sampler: Sampler,
    config: CouplingsConfig,
    runs_folder: Path,
    images: SampleSet | None = None,
    *,
    code: Mapping[str, str] = NO_CODE,
) -> CouplingRun:
    """Opens the unfinished store of these inputs, or begins one, in ``runs_folder``.

    Args:
        sampler: Model that the pairs are drawn from.
        config: How.
        runs_folder: Where unfinished stores live.
        images: Real images; needed where ``config.image_to_noise`` asks for pairs made from them.
        code: Code that makes the pairs, see :func:`pipeline.system.code.reached_code`; shards made by other code, or by
            a generator that draws other noise, are not reused.
    """
    sampler = sampler.drawing(config.classes)
    inverted = images if config.image_to_noise is not None else None
    # Which shards are made from images depends on the number of pairs.
    without_effect = _NOT_OF_A_SHARD if inverted is None else _NOT_OF_A_SHARD - {"num_pairs"}
    settings = config.model_dump(mode="json", exclude=without_effect)
    noise = noise_check(stream_key("couplings", config.seed), sampler.shape)
    parts = [VERSION, sampler.fingerprint, sampler.runtime.precision, sampler.shape, settings, noise, dict(code)]
    if inverted is not None:
        parts.append(inverted.fingerprint)
    inputs = fingerprint_json(parts)
    run = CouplingRun(sampler, config, UnfinishedStore(runs_folder / f"{PREFIX}{inputs[:16]}"), images)
    run.unfinished.open(settings)
    return run


def generate_couplings(
    sampler: Sampler,
    config: CouplingsConfig,
    runs_folder: Path,
    destination: Path,
    images: SampleSet | None = None,
    *,
    code: Mapping[str, str] = NO_CODE,
    cost: Path | None = None,
) -> None:
    """Draws ``config.num_pairs`` pairs from ``sampler`` into a store at ``destination``.

    An interrupted call continues after its finished shards; the processes of a launch divide the shards. What all of
    them computed is written to ``cost``, as JSON: not into the store, whose hashes must not depend on time.

    Raises:
        StraightflowError: If the sampler returns non-finite images, or a shard cannot be written; names the shard.
            Before any work, if ``destination`` is something other than a store.
    """
    require_replaceable(destination, is_store_folder)
    run = open_run(sampler, config, runs_folder, images, code=code)
    accelerator = sampler.runtime.accelerator
    make_shards(run, Worker(accelerator.process_index, accelerator.num_processes))
    accelerator.wait_for_everyone()
    if sampler.runtime.is_main:
        publish(run, destination, cost)
    accelerator.wait_for_everyone()


def make_shards(run: CouplingRun, worker: Worker) -> None:
    """Makes the shards of ``worker`` that are not finished."""
    shards = worker.shards(run.num_shards)
    waiting = [shard for shard in shards if run.finished(shard) is None]
    if waiting and run.config.states:
        _require_memory_for_states(run)
    total, left = (sum(len(run.indices(shard)) for shard in chosen) for chosen in (shards, waiting))
    label = f"couplings from {run.config.source}"
    with Progress(label, total, "pairs", done=total - left, enabled=run.sampler.runtime.is_main) as progress:
        for shard in waiting:
            with run.unfinished.only_writer(shard):
                _make_shard(run, shard, progress)


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


def _require_memory_for_states(run: CouplingRun) -> None:
    """A shard is held whole until it is written, and its states are many times its images."""
    entries = len(run.indices(0)) * (run.config.solver.steps - 1) * math.prod(run.sampler.shape)
    require_memory(
        2 * torch.float16.itemsize * entries,  # the tensor, and the content of its file
        wanted_by=f"the states of a shard of the couplings from {run.config.source}",
        mend="lower shard_pairs of these couplings, or set their states: false",
    )


def _make_shard(run: CouplingRun, shard: int, progress: Progress) -> None:
    config = run.config
    source = pair_source(run.sampler, config, run.images, shard)
    indices = run.indices(shard)
    stored: dict[str, torch.Tensor] = {}
    costs, squared_errors, evaluations, clipped = [], [], 0, 0
    states = _StatesMeasured()
    calls_before, seconds = run.sampler.calls.copy(), 0.0
    chunks = [indices[start : start + config.batch_size] for start in range(0, len(indices), config.batch_size)]
    for chunk, initial in zip(chunks, drawn_ahead(source, chunks), strict=True):
        began = time.monotonic()
        pairs = source.solve(initial)
        seconds += time.monotonic() - began
        _require_finite(pairs, config, shard, chunk)
        images = to_stored(pairs.x_1, config.dtype)
        x_0, x_1 = pairs.x_0, from_stored(images)
        tensors = {IMAGES: images}
        if source.direction == "image_to_noise":
            tensors[NOISE] = pairs.x_0.half()
            x_0 = tensors[NOISE].float()
            squared_errors.append((x_0 - pairs.x_0).square().flatten())
        if pairs.labels is not None:
            tensors[LABELS] = pairs.labels.int()
        if pairs.states is not None:
            tensors[STATES] = pairs.states.z
            states.add(pairs.states, x_1)
        for name, values in tensors.items():
            if name not in stored:
                stored[name] = values.new_empty(len(indices), *values.shape[1:])
            stored[name][chunk.start - indices.start : chunk.stop - indices.start] = values
        costs.append(transport_costs(x_0, x_1))
        if run.sampler.space.is_bounded:
            clipped += num_clipped(pairs.x_1)
        evaluations += pairs.nfe * len(chunk)
        progress.advance(len(chunk))
    noise = None
    if NOISE in stored:
        error = float(torch.cat(squared_errors).mean().sqrt())
        noise = asdict(noise_normality(stored[NOISE])) | {"float16_error": error}
    run.unfinished.write(
        shard,
        stored,
        evaluations=evaluations,
        clipped_fraction=clipped / stored[IMAGES].numel(),
        transport_costs=np.concatenate(costs),
        direction=source.direction,
        noise=noise,
        samples_forward=(run.sampler.calls - calls_before).forward,
        seconds=seconds,
        states=states.read(),
    )


class _StatesMeasured:
    """The states of one shard, added in batches."""

    def __init__(self) -> None:
        self._costs: list[np.ndarray] = []
        self._squared_error = 0.0

    def add(self, states: States, x_1: torch.Tensor) -> None:
        self._costs.append(remaining_costs(states.z, x_1))
        self._squared_error += float(states.squared_error) * len(x_1)

    def read(self) -> dict[str, float] | None:
        """The values of a :class:`StoredStates`; None without states."""
        if not self._costs:
            return None
        costs = np.concatenate(self._costs)
        error = (self._squared_error / len(costs)) ** 0.5
        return {"float16_error": error, "remaining_cost": float(np.mean(costs))}


def _compute(sampler: Sampler, finished: list[FinishedShard]) -> Compute:
    """Of all shards, whenever and by whichever worker they were made."""
    calls = NetworkCalls(forward=sum(shard.samples_forward for shard in finished))
    return sampler.flops_per_sample.compute(calls, sum(shard.seconds for shard in finished))


def _require_finite(pairs: Pairs, config: CouplingsConfig, shard: int, chunk: range) -> None:
    states = None if pairs.states is None else pairs.states.z
    for what, values in (("images", pairs.x_1), ("noise", pairs.x_0), ("states", states)):
        if values is not None and not torch.isfinite(values).all():
            raise StraightflowError(
                expected=f"finite {what} from {config.source}",
                found=f"NaN or infinity in shard {shard_name(shard)}, pairs {chunk.start} to {chunk.stop - 1}",
                mend="check the source model, or set compute.precision: fp32; finished shards are kept",
            )


def _manifest(run: CouplingRun, finished: list[FinishedShard]) -> Manifest:
    config, sampler = run.config, run.sampler
    return Manifest(
        format=FORMAT,
        version=VERSION_WITH_STATES if config.states else VERSION,
        num_pairs=config.num_pairs,
        shard_pairs=config.shard_pairs,
        shape=sampler.shape,
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
            )
            for index, shard in enumerate(finished)
        ),
    )


def _link(source: Path, destination: Path) -> None:
    """Hard-links a file, or copies it where that is impossible, as across file systems."""
    try:
        destination.hardlink_to(source)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        shutil.copyfile(source, destination)
