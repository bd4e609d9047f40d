"""CPU memory: settings of malloc that reuse what tensors have freed."""

from __future__ import annotations

import ctypes
import platform

# Constants of malloc.h; the mmap threshold is the largest that glibc accepts.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD, NEVER_TRIM = 32 * 2**20, 2**31 - 1


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to keep freed blocks of up to 32 MiB instead of handing them back to the kernel.

    A network call allocates and frees the same few hundred blocks every time. If they go back to the kernel, it has to
    zero new pages for each, on a single thread: a tenth of a step's CPU time for the digits network. In return the
    process keeps its peak memory until it ends or calls :func:`release_freed_memory`. See mallopt(3).

    Returns:
        Whether the settings took effect; False without glibc, where nothing is changed.
    """
    libc = _libc()
    if libc is None:
        return False
    # Both are set, because setting one stops glibc from adjusting the other.
    return bool(libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD) and libc.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM))


def release_freed_memory() -> None:
    """Returns freed memory to the kernel, so that the process holds only what it uses; see malloc_trim(3)."""
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)
