"""Whether what a setting names is a folder on this machine, or may be a repository on the hub."""

from __future__ import annotations

from pathlib import Path

from pipeline.system.errors import StraightflowError, one_line


def is_here(name: str, key: str, noun: str) -> bool:
    """Whether a name is that of a folder on this machine; otherwise it may be one on the hub.

    Args:
        name: A folder or a hub id.
        key: Setting that names it.
        noun: What it is to be.

    Raises:
        StraightflowError: If it is that of a file, cannot be looked at, or is a path at which no folder lies.
    """
    if _exists(name, key, noun):
        _require_folder(Path(name), noun)
        return True
    if _is_path(name):
        raise StraightflowError(
            expected=f"{noun} at {name!r}: an existing folder, or a hub id",
            found="no such folder",
            mend=f"correct {key}",
        )
    return False


def _require_folder(path: Path, noun: str) -> None:
    if not path.is_dir():
        raise StraightflowError(
            expected=f"a folder with {noun}, a checkpoint of diffusers, at {path}",
            found="a file",
            mend="name its folder",
        )


def _exists(name: str, key: str, noun: str) -> bool:
    try:
        return Path(name).exists()
    except OSError as error:  # a name that is too long, or a folder on the way that may not be entered
        raise StraightflowError(
            expected=f"{noun} at {name[:80]!r}: an existing folder, or a hub id",
            found=one_line(error),
            mend=f"correct {key}, or make its folder readable",
        ) from error


def _is_path(name: str) -> bool:
    """Whether a name that does not exist was meant as a path: hub ids are ``name`` or ``owner/name``."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name
