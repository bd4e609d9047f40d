"""Files and folders that are either whole or absent, whatever interrupts their writing.

Both are written beside their place, so that the last step is a rename within one file system, wherever that is mounted.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.system.leftovers import clear_leftovers, temporary_beside
from pipeline.system.replacing import Ours, nothing, require_replaceable

_WITHOUT_RENAME = (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it is fsynced and renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, ours: Ours = nothing) -> Iterator[Path]:
    """Yields a fresh temporary folder beside ``path``; on success it takes the place of ``path`` whole.

    Args:
        path: Where it is to be. A link is followed: what it names is replaced, on its own file system.
        ours: Which folders may be replaced beside empty ones.

    Raises:
        StraightflowError: On entry, if something else is at ``path``.
    """
    require_replaceable(path, ours)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent)
    temporary = temporary_beside(path)
    if temporary.exists():  # of a process that had this number before
        shutil.rmtree(temporary)
    temporary.mkdir()
    try:
        yield temporary
        publish_folder(temporary, path, ours=ours)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def publish_folder(source: Path, destination: Path, *, ours: Ours = nothing) -> None:
    """Fsyncs everything in ``source`` and renames it to ``destination``, which is on the same file system.

    Raises:
        StraightflowError: If there is a folder at ``destination`` that is neither empty nor ``ours``, or a file.
    """
    for item in sorted(source.rglob("*")):
        _fsync(item)
    _fsync(source)
    destination.parent.mkdir(parents=True, exist_ok=True)
    require_replaceable(destination, ours)
    with _set_aside(destination):
        source.replace(destination)
    _fsync(destination.parent)


@contextmanager
def _set_aside(destination: Path) -> Iterator[None]:
    """Keeps what is at ``destination`` under another name until the block has ended; puts it back if that fails."""
    if not destination.exists():
        yield
        return
    aside = temporary_beside(destination).with_suffix(".old")
    try:
        destination.replace(aside)
    except OSError as error:
        # A folder from a lower layer of an overlay cannot be renamed, only removed.
        if error.errno not in _WITHOUT_RENAME:
            raise
        shutil.rmtree(destination)
        yield
        return
    try:
        yield
    except BaseException:
        aside.replace(destination)
        raise
    shutil.rmtree(aside)


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as indented JSON, atomically; raises ValueError for NaN and infinity."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, "utf-8")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
