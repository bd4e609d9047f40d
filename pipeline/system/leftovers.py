"""Temporary files and folders: named after the process that writes them, cleared when that has been killed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from pipeline.system.processes import host, is_alive

_LONGEST_STEM = 40
_MARK = "straightflow"
_TEMPORARY = re.compile(rf"^\.(?P<name>.*)\.(?P<process>\d+)@(?P<host>[^@/]+)\.{_MARK}\.(?P<kind>tmp|old)$", re.DOTALL)


def temporary_beside(path: Path) -> Path:
    """A hidden name beside ``path``, the same for every call of this process; shorter where the name is long."""
    name = path.name
    if len(name) > _LONGEST_STEM:
        name = f"{name[:24]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"
    return path.with_name(f".{name}.{os.getpid()}@{host()}.{_MARK}.tmp")


def clear_leftovers(folder: Path) -> None:
    """Removes what killed processes of this machine left in ``folder`` under names of :func:`temporary_beside`.

    A folder that was set aside (``.old``), and whose replacement did not come, is put back.
    """
    if not folder.is_dir():
        return
    for item in list(folder.iterdir()):
        found = _TEMPORARY.match(item.name)
        if found is None or found["host"] != host() or is_alive(int(found["process"])):
            continue
        with suppress(FileNotFoundError):  # another process clears as well
            if found["kind"] == "old" and not (folder / found["name"]).exists():
                item.rename(folder / found["name"])
            elif item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()
