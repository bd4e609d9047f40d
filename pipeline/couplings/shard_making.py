"""Making one shard: its pairs solved batch by batch, measured where they were solved, and checked when they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pipeline.couplings.coupling_run import CouplingRun
from pipeline.couplings.manifest import shard_name
from pipeline.couplings.pairs import InitialState, PairSource
from pipeline.couplings.shard_content import ShardContent
from pipeline.couplings.stored_pairs import stored_pairs
from pipeline.system.copies import all_done
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress


def make_shard(
    run: CouplingRun, shard: int, source: PairSource, initial: Iterator[InitialState], progress: Progress
) -> Callable[[], None]:
    """Solves the pairs of a shard, and returns the function that writes it with its record.

    A batch is waited for when the next one was asked for, so that a device always has work.

    Args:
        run: The store in the making.
        shard: Number of the shard.
        source: Of its pairs.
        initial: What its batches start from, those of :meth:`CouplingRun.batches`; more may follow, of other shards.
        progress: Advanced by pairs.

    Raises:
        StraightflowError: If the sampler returns non-finite values; names the shard and the pairs.
    """
    config, device = run.config, run.sampler.runtime.device
    indices, chunks = run.indices(shard), run.batches(shard)
    content = ShardContent(len(indices), device)
    is_done: list[Callable[[], None]] = []
    calls_before, evaluations, seconds = run.sampler.calls.copy(), 0, 0.0

    def receive(batch: int) -> None:
        is_done[batch]()
        _require_finite(run, shard, chunks[batch], content.not_finite(batch))
        progress.advance(len(chunks[batch]))

    for batch, chunk in enumerate(chunks):
        state = next(initial)
        began = time.monotonic()
        pairs = source.solve(state)
        stored = stored_pairs(pairs, config.dtype, source.direction, run.sampler.space)
        content.add(stored, chunk.start - indices.start)
        is_done.append(all_done(device))
        evaluations += pairs.nfe * len(chunk)
        if batch > 0:
            receive(batch - 1)
        seconds += time.monotonic() - began
    began = time.monotonic()
    receive(len(chunks) - 1)
    seconds += time.monotonic() - began
    measured = content.measured()
    calls = run.sampler.calls - calls_before
    return lambda: run.unfinished.write(
        shard,
        content.tensors,
        evaluations=evaluations,
        clipped_fraction=measured.clipped_fraction,
        transport_costs=measured.transport_costs,
        direction=source.direction,
        noise=measured.noise,
        samples_forward=calls.forward,
        seconds=seconds,
        states=measured.states,
        storage_error=measured.storage_error,
        samples_by_guide=calls.by_guide,
    )


def _require_finite(run: CouplingRun, shard: int, chunk: range, not_finite: str | None) -> None:
    if not_finite is not None:
        raise StraightflowError(
            expected=f"finite {not_finite} from {run.config.source}",
            found=f"NaN or infinity in shard {shard_name(shard)}, pairs {chunk.start} to {chunk.stop - 1}",
            mend="check the source model, or set compute.precision: fp32; finished shards are kept",
        )
