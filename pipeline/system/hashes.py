"""Hashes of a folder's files, kept in a record beside them, and compared when the files are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.system.fingerprint import fingerprint_file


def file_hashes(folder: Path, *, record: str) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` by its relative name, but for the file ``record`` that keeps them."""
    files = sorted(item for item in folder.rglob("*") if item.is_file() and item != folder / record)
    return {item.relative_to(folder).as_posix(): fingerprint_file(item) for item in files}


def changed_file(expected: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """The first file that is missing, altered or added; None if there is none."""
    names = sorted(expected.keys() | found.keys())
    return next((name for name in names if expected.get(name) != found.get(name)), None)
