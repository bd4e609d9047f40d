"""The most memory held since a given moment: of the GPU where there is one, else of this process."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from pipeline.allocator import release_freed_memory

_MIB = 2**20


def reset_peak_memory(device: torch.device) -> None:
    """Starts counting anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        release_freed_memory()
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak of the resident set


def peak_memory_mib(device: torch.device) -> float | None:
    """MiB at the peak since :func:`reset_peak_memory`; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else None
