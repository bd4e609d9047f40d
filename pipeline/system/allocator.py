"""Memory of the CPU: what tensors free is kept for the next ones."""

from __future__ import annotations

import ctypes
import platform

# Names and numbers of malloc.h; the threshold is the largest that glibc takes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD, NEVER_TRIM = 32 * 2**20, 2**31 - 1


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to keep freed blocks of up to 32 MiB instead of handing them back to the kernel.

    A network call allocates and frees the same few hundred blocks every time. Handed back, each comes again as empty
    pages that the kernel has to clear, one thread at work: a tenth of a step's CPU time for the digits network. The
    process keeps its peak memory until it ends or calls :func:`release_freed_memory`. See mallopt(3).

    Returns:
        Whether it is done; other C libraries are left as they are.
    """
    libc = _libc()
    if libc is None:
        return False
    # Both, as setting one ends glibc's own adjustment of the other.
    return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD) and libc.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM))


def release_freed_memory() -> None:
    """Hands what is free now back to the kernel, so that the memory of the process is what it uses; malloc_trim(3)."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)
