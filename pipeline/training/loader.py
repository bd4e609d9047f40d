"""Batches ahead of the steps that take them: made by worker processes, copied to the device while it computes."""

from __future__ import annotations

import signal
from collections.abc import Generator

import torch
from torch.utils.data import DataLoader

from pipeline.training.objectives import Batch
from pipeline.training.samples import StepBatches


def num_workers_for(device: torch.device) -> int:
    """Worker processes beside a training: a CPU has no time to spare for them."""
    return 4 if device.type == "cuda" else 0


def batches_from(
    batches: StepBatches, first_step: int, device: torch.device, *, num_workers: int
) -> Generator[Batch, None, None]:
    """Batches of the steps from ``first_step`` on, in order, on ``device``; a GPU copies them from pinned memory.

    Workers are forked, so that they share what is in memory and nothing of the training need be pickled. Close the
    generator, which ends them: they do not heed the signal by which an interpreter at its own end would.

    Args:
        batches: One item a step.
        first_step: Step of the first batch.
        device: Where the training runs.
        num_workers: Processes that make batches ahead; 0 makes them in this one.
    """
    loader: DataLoader[Batch] = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first_step, len(batches)),
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_sigterm,
        multiprocessing_context="fork" if num_workers else None,
    )
    for batch in loader:
        yield {name: values.to(device, non_blocking=True) for name, values in batch.items()}


def _outlive_sigterm(worker: int) -> None:
    """Schedulers send SIGTERM to every process of a job; were a worker to die of it, no checkpoint would be saved."""
    del worker
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
