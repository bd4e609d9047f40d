"""Hashes of a folder's files, kept in a record beside them, so that a changed bit is found when they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.whole_files import read_json

HASHES = "sha256.json"
_READ_SUFFIXES = (".json", ".safetensors", ".bin")


def file_hashes(folder: Path, *, record: str) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` by its relative name, but for the file ``record`` that keeps them."""
    files = sorted(item for item in folder.rglob("*") if item.is_file() and item != folder / record)
    return {item.relative_to(folder).as_posix(): fingerprint_file(item) for item in files}


def changed_file(expected: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """The first file that is missing, altered or added; None if there is none."""
    names = sorted(expected.keys() | found.keys())
    return next((name for name in names if expected.get(name) != found.get(name)), None)


def write_hashes(folder: Path) -> None:
    """Writes the hashes of all files in ``folder``, by their path in it, to its :data:`HASHES`."""
    write_json(folder / HASHES, {"sha256": file_hashes(folder, record=HASHES)})


def require_unchanged(folder: Path) -> None:
    """Checks a folder against its :data:`HASHES`; one without, saved elsewhere or earlier, is taken as it is.

    Raises:
        StraightflowError: If a file is missing, changed or unreadable, or one that could be read in place of another
            was added.
    """
    if not os.path.lexists(folder / HASHES):
        return
    recorded = recorded_hashes(folder)
    for name, expected in recorded.items():
        try:
            found = fingerprint_file(folder / name)
        except (OSError, ValueError) as error:  # a name with a zero byte is no path
            raise _changed(folder, f"{name!r}: {one_line(error)}") from error
        if found != expected:
            raise _changed(folder, f"{name} with SHA-256 {found} instead of {expected}")
    present = {item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file()}
    for name in sorted(present - recorded.keys() - {HASHES}):
        if name.endswith(_READ_SUFFIXES):
            raise _changed(folder, f"{name}, which was not saved with it")


def require_present_unchanged(folder: Path) -> None:
    """Checks those files of a folder's :data:`HASHES` that are there: of a repository only some are downloaded.

    Raises:
        StraightflowError: If one is changed or unreadable.
    """
    for name, expected in (recorded_hashes(folder) if (folder / HASHES).is_file() else {}).items():
        if (folder / name).is_file() and fingerprint_file(folder / name) != expected:
            raise _changed(folder, f"{name} with another SHA-256 than {expected}")


def recorded_files(folder: Path) -> set[str]:
    """The files that a folder's :data:`HASHES` lists, by their path in it; none without such a file.

    Raises:
        StraightflowError: If it cannot be read.
    """
    return set(recorded_hashes(folder)) if (folder / HASHES).is_file() else set()


def recorded_hashes(folder: Path) -> dict[str, str]:
    """What :func:`write_hashes` wrote: SHA-256 by a file's path in the folder.

    Raises:
        StraightflowError: If it is missing, cannot be read or holds something else.
    """
    try:
        content = read_json(folder / HASHES)
    except (OSError, ValueError) as error:
        raise _changed(folder, f"{HASHES} that cannot be read ({one_line(error)})") from error
    recorded = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(recorded, dict) or not all(isinstance(value, str) for value in recorded.values()):
        raise _changed(folder, f"{HASHES} without hashes")
    return recorded


def _changed(folder: Path, found: str) -> StraightflowError:
    return StraightflowError(
        expected=f"{folder} as it was saved, which its {HASHES} says",
        found=found,
        mend="restore it (`dvc checkout`) or make it again (`dvc repro`); if the change is meant, move "
        f"{HASHES} out of the folder, and its files are taken as they are",
    )
