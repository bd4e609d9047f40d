"""The most memory held since a given moment: of the GPU where there is one, else of this process."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from pipeline.system.allocator import release_freed_memory

_MIB = 2**20
_RESET = Path("/proc/self/clear_refs")  # of Linux, where its kernel is built with it


def can_reset_peak_memory() -> bool:
    """Whether this system counts a process's peak anew when asked to; elsewhere it is that since its start."""
    return _RESET.exists()


def reset_peak_memory(device: torch.device) -> None:
    """Starts counting anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif can_reset_peak_memory():
        release_freed_memory()
        _RESET.write_text("5", "utf-8")  # proc(5): resets the peak of the resident set


def peak_memory_mib(device: torch.device) -> float | None:
    """MiB at the peak since :func:`reset_peak_memory`; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    if not can_reset_peak_memory():
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    return int(found[1]) / 1024 if found else None
