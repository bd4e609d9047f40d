"""Results that are measured once and kept: each a folder with the hashes of its files, verified before it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system.atomic import atomic_folder
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_hashes import HASHES, changed_file, file_hashes, recorded_hashes, write_hashes
from pipeline.system.replacing import holding_only

_ours = holding_only("*.json", "*.safetensors")


@contextmanager
def keeping(place: Path) -> Iterator[Path]:
    """Yields a folder to write a result in; on success it is sealed with its hashes and put at ``place``, whole."""
    with atomic_folder(place, ours=_ours) as temporary:
        yield temporary
        write_hashes(temporary)


def is_kept(place: Path, read: Callable[[Path], object]) -> bool:
    """Whether the result at ``place`` is there and is what was kept; says so where it is not what it was.

    Args:
        place: Folder of the result.
        read: Reads it as it will be used; raises OSError or ValueError if it holds something else.
    """
    if not place.exists():
        return False
    problem = _damage(place, read)
    if problem is not None:
        print(f"{place} is not what was kept there ({problem}): measuring it anew", file=sys.stderr)
    return problem is None


def _damage(place: Path, read: Callable[[Path], object]) -> str | None:
    try:
        changed = changed_file(recorded_hashes(place), file_hashes(place, record=HASHES))
    except StraightflowError as error:
        return error.found
    except OSError as error:
        return one_line(error)
    if changed is not None:
        return f"{changed} changed"
    try:
        read(place)
    except (OSError, ValueError) as error:
        return one_line(error)
    return None
