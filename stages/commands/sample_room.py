"""Refuses, before the first network call, images that memory or the disk cannot hold."""

from __future__ import annotations

import math
import os
from pathlib import Path

from pipeline.data.mosaic import mosaic_bytes
from pipeline.system.errors import StraightflowError
from pipeline.system.memory import memory_at_hand

FLOAT_BYTES = 4
SMALLEST_PNG = 67
"""Bytes of a PNG of one grey pixel."""


def grid_bytes(shape: tuple[int, ...], num: int, gap: int) -> int:
    """Least memory for one grid of ``num`` images of ``shape``: the images, and the picture that they become."""
    return num * math.prod(shape) + mosaic_bytes(num, shape, scale=1, gap=gap)


def trajectory_bytes(shape: tuple[int, ...], num: int, states: int, *, scale: int, gap: int) -> int:
    """The same for the ``states`` of ``num`` trajectories, and for x_t and its velocity, of all images at once."""
    pictures = mosaic_bytes(num * states, shape, scale=scale, gap=gap)
    return num * math.prod(shape) * (states + 2 * FLOAT_BYTES) + pictures


def require_memory_for(num_bytes: int, num: int, shape: tuple[int, ...], mend: str) -> None:
    """Raises StraightflowError, with the number that fits, if ``num`` images need more memory than is at hand."""
    at_hand = memory_at_hand()
    if at_hand is None or num_bytes <= at_hand:
        return
    fitting = num * at_hand // num_bytes
    raise StraightflowError(
        expected=f"images that fit in memory together: at most {fitting:,} of {'×'.join(map(str, shape))}",
        found=f"--num {num}, which takes {num_bytes / 1e9:,.1f} GB at least; {at_hand / 1e9:,.1f} GB are at hand",
        mend=mend,
    )


def require_disk_for(folder: Path, num: int) -> None:
    """Raises StraightflowError if the disk of ``folder`` has no room for ``num`` PNG files, or for their names."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    disk = os.statvfs(place)
    fitting = disk.f_bavail * disk.f_frsize // SMALLEST_PNG
    if disk.f_files:  # some file systems keep no count of names
        fitting = min(fitting, disk.f_favail)
    if num > fitting:
        raise StraightflowError(
            expected=f"at most {fitting:,} files, for which {place} has room",
            found=f"--num {num}",
            mend="lower --num, or name a folder on another disk with --out",
        )
