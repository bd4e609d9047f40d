"""Peak memory since a given moment: on a GPU that of its allocations, on a CPU that of this process."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from pipeline.system.allocator import release_freed_memory

_MIB = 2**20
_RESET = Path("/proc/self/clear_refs")  # only on Linux, if the kernel was built with it


def can_reset_peak_memory() -> bool:
    """Whether this system can reset a process's peak; elsewhere the peak counts from the process's start."""
    return _RESET.exists()


def reset_peak_memory(device: torch.device) -> None:
    """Resets the peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif can_reset_peak_memory():
        release_freed_memory()
        _RESET.write_text("5", "utf-8")  # proc(5): resets the peak of the resident set


def peak_memory_mib(device: torch.device) -> float | None:
    """Peak memory in MiB since :func:`reset_peak_memory`; None if the system cannot reset or report it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    if not can_reset_peak_memory():
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    return int(found[1]) / 1024 if found else None
