"""Files and folders named in arguments, where a command is to write."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.system.errors import StraightflowError


def require_writable(path: Path, option: str = "--out") -> None:
    """Checks, before work is done for it, that a file can be written at ``path``; missing folders are fine.

    Raises:
        StraightflowError: If ``path`` is a folder, or the folder to hold it is a file or may not be written.
        OSError: If the system refuses to look, as at a name that is too long.
    """
    obstacle = _obstacle(path)
    if obstacle is not None:
        raise StraightflowError(
            expected=f"a place for the file {path}", found=obstacle, mend=f"name another place with {option}"
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
