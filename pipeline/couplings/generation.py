"""Making couplings: resumable by shard, divided over workers, published whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import torch

from pipeline.config.couplings import CouplingsConfig
from pipeline.couplings.coupling_run import CouplingRun, open_run
from pipeline.couplings.manifest import is_store_folder
from pipeline.couplings.pairs import drawn_ahead, pair_sources
from pipeline.couplings.publication import publish
from pipeline.couplings.shard_making import make_shard
from pipeline.couplings.shard_writer import ShardWriter
from pipeline.couplings.unfinished import Worker
from pipeline.data.sample_set import SampleSet
from pipeline.models.sampler import Sampler
from pipeline.system.code import NO_CODE
from pipeline.system.memory import require_memory
from pipeline.system.progress import Progress
from pipeline.system.replacing import require_replaceable


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
    shown = Progress(label, total, "pairs", done=total - left, enabled=run.sampler.runtime.is_main)
    source_of = pair_sources(run.sampler, run.config, run.images)
    # Across shards, so that a device has work where one ends and the next begins.
    drawn = drawn_ahead((source_of(shard), batch) for shard in waiting for batch in run.batches(shard))
    with shown as progress, ShardWriter() as writer, closing(drawn) as initial:
        for shard in waiting:
            # Locked until it is written, which is after the next one was begun.
            with ExitStack() as lock:
                lock.enter_context(run.unfinished.only_writer(shard))
                write = make_shard(run, shard, source_of(shard), initial, progress)
                writer.wait()
                writer.submit(partial(_write, write, lock.pop_all()))


def _write(write: Callable[[], None], lock: ExitStack) -> None:
    with lock:
        write()


def _require_memory_for_states(run: CouplingRun) -> None:
    """A shard is held whole until it is written, the next one meanwhile; its states are many times its images."""
    entries = len(run.indices(0)) * (run.config.solver.steps - 1) * math.prod(run.sampler.shape)
    copies = 2 if run.num_shards == 1 else 3  # the tensor, the content of its file, and the next shard's tensor
    require_memory(
        copies * torch.float16.itemsize * entries,
        wanted_by=f"the states of a shard of the couplings from {run.config.source}",
        mend="lower shard_pairs of these couplings, or set their states: false",
    )
