"""Batches prepared in advance: made by worker processes, copied to the device while it computes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from pipeline.methods.objective import Batch
from pipeline.models.runtime import Runtime
from pipeline.system.copies import copied_ahead
from pipeline.system.errors import StraightflowError, one_line
from pipeline.training.samples import StepBatches
from pipeline.training.shared_memory import (
    BATCHES_AHEAD,
    GPU_WORKERS,
    MORE_ROOM,
    choose_num_workers,
    free_shared_memory,
    shared_bytes,
)


def num_workers_for(batches: StepBatches, runtime: Runtime) -> int:
    """Number of workers for this training process, as configured and as /dev/shm has room; says if it has not.

    Call it before workers are started, as all processes of a machine share /dev/shm.

    Raises:
        StraightflowError: If the configured number has no room.
    """
    asked, on_gpu = runtime.num_loader_workers, runtime.device.type == "cuda"
    if asked == 0 or (asked is None and not on_gpu):
        return 0
    free = free_shared_memory()
    num_workers = choose_num_workers(
        asked,
        on_gpu=on_gpu,
        batch_bytes=shared_bytes(batches[0]),
        num_processes=int(os.environ.get("LOCAL_WORLD_SIZE", runtime.accelerator.num_processes)),
        free_bytes=free,
    )
    if num_workers == 0 and runtime.is_main:
        print(
            f"{(free or 0) / 1e6:,.0f} MB of /dev/shm are too few for {GPU_WORKERS} workers: batches are made between "
            f"the steps, which is slower. More room: {MORE_ROOM}",
            file=sys.stderr,
        )
    return num_workers


def batches_from(
    batches: StepBatches, first_step: int, device: torch.device, *, num_workers: int
) -> Generator[Batch, None, None]:
    """Batches of the steps from ``first_step`` on, in order, on ``device``.

    Workers are forked, so they share what is in memory and nothing is pickled. Close the generator to end them: they
    ignore SIGTERM, which the interpreter would send at exit, and Ctrl-C.

    Args:
        batches: One item a step.
        first_step: Step of the first batch.
        device: Where the training runs.
        num_workers: Processes that make batches ahead; 0 makes them in this one.

    Raises:
        StraightflowError: If a batch cannot be made or handed over.
    """
    loader: DataLoader[Batch | _Failure] = DataLoader(
        _Attempts(batches),
        batch_size=None,
        sampler=range(first_step, len(batches)),
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_requests_to_stop,
        multiprocessing_context="fork" if num_workers else None,
        prefetch_factor=BATCHES_AHEAD if num_workers else None,
    )
    yield from copied_ahead(_made(loader), device)


@contextmanager
def lost_workers_named() -> Iterator[None]:
    """Inside the block, a worker that is killed ends the training with one message.

    torch raises its error wherever the training happens to be, also between two batches.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) and "Too many open files" not in str(error):
            raise
        raise _lost_worker(error) from error


def _made(loader: DataLoader[Batch | _Failure]) -> Iterator[Batch]:
    for batch in _received(loader):
        if isinstance(batch, _Failure):
            raise StraightflowError(expected=batch.expected, found=batch.found, mend=batch.mend)
        yield batch


def _received(loader: DataLoader[Batch | _Failure]) -> Iterator[Batch | _Failure]:
    """What workers hand over; if one is killed meanwhile, torch only reports that the connection ended."""
    try:
        yield from loader
    except (ConnectionError, EOFError) as error:
        raise _lost_worker(error) from error


def _lost_worker(error: Exception) -> StraightflowError:
    return StraightflowError(
        expected="the processes that make batches to run as long as the training",
        found=one_line(error),
        mend="run again, from the last checkpoint, with fewer of them (launch.num_loader_workers; 0 for none), "
        f"more memory, or more room in /dev/shm: {MORE_ROOM}",
    )


@dataclass(frozen=True)
class _Failure:
    """A StraightflowError on its way out of a worker; raised there, torch would wrap it in another error."""

    expected: str
    found: str
    mend: str


class _Attempts(Dataset[Batch | _Failure]):
    """Batches, or why one could not be made; a worker's are in /dev/shm already.

    If the queue put them there, a batch without room would be dropped by a thread of the worker, and training would
    wait for it.
    """

    def __init__(self, batches: StepBatches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch | _Failure:
        try:
            batch = self._batches[step]
        except StraightflowError as error:
            return _Failure(error.expected, error.found, error.mend)
        return batch if get_worker_info() is None else _handed_over(batch)


def _handed_over(batch: Batch) -> Batch | _Failure:
    try:
        for values in batch.values():
            values.share_memory_()  # type: ignore[no-untyped-call]
        return batch
    except (RuntimeError, OSError) as error:
        return _Failure(
            expected=f"room for a batch of {shared_bytes(batch) / 1e6:,.1f} MB in /dev/shm",
            found=one_line(error),
            mend=f"give the container more: {MORE_ROOM}; or lower launch.num_loader_workers",
        )


def _outlive_requests_to_stop(worker: int) -> None:
    """Ignores what schedulers and terminals send to every process: a dead worker would prevent the last checkpoint."""
    del worker
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
