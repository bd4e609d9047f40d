"""Memory at hand, and one message for every way in which libraries say that it was not enough."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from pathlib import Path

from pipeline.system.errors import StraightflowError, causes, one_line

_SYSTEM = Path("/")
_MEND = (
    "ask for less: of a command lower --num, --num-samples, --steps or --batch-size; of a run lower batch_size, "
    "shard_pairs or the size of the network, or raise gradient_accumulation_steps; or free memory"
)
# torch, CUDA's libraries, C++ and NumPy have no common type for it. A size that no integer holds is the same mistake.
_IN_WORDS = re.compile(
    r"DefaultCPUAllocator|not enough memory|can't allocate memory|out of memory|STATUS_ALLOC_FAILED|std::bad_alloc"
    r"|Storage size calculation overflowed|numel: integer multiplication overflow|Maximum allowed dimension exceeded"
    r"|array is too big|maximum supported dimension|into an index-sized integer|too large to convert to C"
)


def memory_error(error: BaseException) -> StraightflowError | None:
    """The message for ``error``, if it or one that it was raised from is of memory; None if it is of another kind."""
    for cause in causes(error):
        if _is_of_memory(cause):
            found = one_line(cause) if str(cause).strip() else "more than this process could get"
            return StraightflowError(
                expected="memory for what was asked for", found=f"{found}{_beside(memory_at_hand())}", mend=_MEND
            )
    return None


def require_memory(num_bytes: int, *, wanted_by: str, mend: str) -> None:
    """Raises StraightflowError if ``num_bytes`` are more than :func:`memory_at_hand`.

    Args:
        num_bytes: Least number that will be held at once.
        wanted_by: What holds them, for the message.
        mend: What to make smaller.
    """
    at_hand = memory_at_hand()
    if at_hand is not None and num_bytes > at_hand:
        raise StraightflowError(
            expected=f"memory for {wanted_by}, {num_bytes / 1e9:,.1f} GB at least",
            found=f"{at_hand / 1e9:,.1f} GB at hand",
            mend=mend,
        )


def memory_at_hand(system: Path = _SYSTEM) -> int | None:
    """Bytes that this process can still take: of the machine, its control groups (containers) and its own limit.

    Args:
        system: Folder that holds ``proc`` and ``sys``.

    Returns:
        The least of them; None where the system tells none, as outside of Linux.
    """
    found = [*_of_the_machine(system), *_of_control_groups(system), *_of_the_address_space(system)]
    return max(0, min(found)) if found else None


def readable_bytes(num_bytes: int) -> str:
    """A size for a person."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | ValueError | OverflowError) and _IN_WORDS.search(str(error)) is not None


def _beside(at_hand: int | None) -> str:
    return "" if at_hand is None else f"; {at_hand / 1e9:,.1f} GB of memory are at hand"


def _of_the_machine(system: Path) -> Iterator[int]:
    available = re.search(r"^MemAvailable:\s+(\d+) kB", _text(system / "proc/meminfo"), re.MULTILINE)
    if available is not None:
        yield int(available[1]) * 1024


def _of_control_groups(system: Path) -> Iterator[int]:
    """What the limits of this process's groups, and of those around them, leave; cgroups(7), version 2 and 1."""
    for line in _text(system / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            root, names = system / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root, names = (
                system / "sys/fs/cgroup/memory",
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            )
        else:
            continue
        folder = root / group.lstrip("/")
        for place in (folder, *folder.parents):
            if place.is_relative_to(root):
                yield from _left_in(place, *names)


def _left_in(group: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    most, used = _text(group / limit).strip(), _text(group / usage).strip()
    if most.isdigit() and used.isdigit():  # "max" is no limit
        cached = re.search(rf"^{reclaimable} (\d+)", _text(group / "memory.stat"), re.MULTILINE)
        yield int(most) - int(used) + (0 if cached is None else int(cached[1]))


def _of_the_address_space(system: Path) -> Iterator[int]:
    """What ``ulimit -v`` leaves."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    mapped = re.search(r"^VmSize:\s+(\d+) kB", _text(system / "proc/self/status"), re.MULTILINE)
    if limit != resource.RLIM_INFINITY and mapped is not None:
        yield limit - int(mapped[1]) * 1024


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # the system does not tell
        return ""
