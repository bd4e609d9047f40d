"""Room for batches in /dev/shm, through which workers hand them over; containers have 64 MB by default."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from pipeline.methods.objective import Batch
from pipeline.system.errors import StraightflowError

SHARED_MEMORY = Path("/dev/shm")
GPU_WORKERS = 4
BATCHES_AHEAD = 2
"""Batches that each worker makes before it waits."""
BATCHES_TAKEN = 2
"""Batches that the training process itself holds: the one in use, and the next."""
MORE_ROOM = "docker run --shm-size=8g (or --ipc=host; an emptyDir of medium Memory at /dev/shm on Kubernetes)"


def free_shared_memory() -> int | None:
    """Bytes free in /dev/shm; None on systems that share memory in another way."""
    if not SHARED_MEMORY.is_dir():
        return None
    room = os.statvfs(SHARED_MEMORY)
    return room.f_bavail * room.f_frsize


def shared_bytes(batch: Batch) -> int:
    """Bytes of /dev/shm that a batch takes: every tensor's whole storage, in whole pages."""
    pages = (-(-values.untyped_storage().nbytes() // mmap.PAGESIZE) for values in batch.values())
    return mmap.PAGESIZE * sum(pages)


def wanted_shared_memory(batch_bytes: int, num_workers: int, num_processes: int) -> int:
    """Most bytes that batches fill, with ``num_workers`` for each of ``num_processes`` on one machine."""
    return num_processes * (num_workers * BATCHES_AHEAD + BATCHES_TAKEN) * batch_bytes if num_workers else 0


def choose_num_workers(
    asked: int | None, *, on_gpu: bool, batch_bytes: int, num_processes: int, free_bytes: int | None
) -> int:
    """Number of workers per training process; by default none on CPUs, which have no time to spare for them.

    Args:
        asked: What ``launch.num_loader_workers`` says; None decides by the device and the room.
        on_gpu: Whether the training runs on a GPU.
        batch_bytes: What a process's share of a batch takes in /dev/shm.
        num_processes: Training processes on this machine.
        free_bytes: Free in /dev/shm; None for no limit.

    Raises:
        StraightflowError: If workers were asked for and their batches find no room.
    """
    num_workers = asked if asked is not None else GPU_WORKERS * on_gpu
    wanted = wanted_shared_memory(batch_bytes, num_workers, num_processes)
    if free_bytes is None or wanted <= free_bytes:
        return num_workers
    if asked is None:
        return 0
    raise StraightflowError(
        expected=f"{wanted / 1e6:,.0f} MB free in {SHARED_MEMORY}, through which {num_workers} worker(s) beside each "
        f"of {num_processes} process(es) hand over their batches",
        found=f"{free_bytes / 1e6:,.0f} MB",
        mend=f"give the container more: {MORE_ROOM}; or lower launch.num_loader_workers",
    )
