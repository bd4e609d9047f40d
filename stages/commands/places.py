"""Files and folders named in arguments: an error of the file system becomes one message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_errors import advice


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Turns an error of the file system on entering, reading or writing ``path`` into a :class:`StraightflowError`."""
    try:
        yield
    except OSError as error:
        raise StraightflowError(
            expected=f"a file or folder that can be used at {str(path)[:100]}",
            found=one_line(error),
            mend=advice(error),
        ) from error


def require_writable(path: Path) -> None:
    """Checks, before work is done for it, that a file can be written at ``path``; missing folders are fine.

    Raises:
        StraightflowError: If ``path`` is a folder, or the folder to hold it is a file or may not be written.
    """
    with usable(path):
        obstacle = _obstacle(path)
    if obstacle is not None:
        raise StraightflowError(
            expected=f"a place for the file {path}", found=obstacle, mend="name another place with --out"
        )


def _obstacle(path: Path) -> str | None:
    if path.is_dir():
        return f"a folder at {path}"
    if path.is_symlink() and not path.exists():
        return f"a link to nothing at {path}"
    if path.exists() and not path.is_file():
        return f"a pipe, a socket or a device at {path}"
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        return f"{folder}, which is a file and not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to write in {folder}"
    return None
