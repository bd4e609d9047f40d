"""What may be replaced by a folder of ours: nothing that somebody else made."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.system.errors import StraightflowError

NAMED_ENTRIES = 3
"""Entries of a folder that an error names."""

Ours = Callable[[Path], bool]
"""Tells whether a folder is one of ours, so that nothing of somebody else's is lost when it is replaced."""


def nothing(_: Path) -> bool:
    """No folder is ours."""
    return False


def holding_only(*patterns: str) -> Ours:
    """Folders whose files all have names, relative to the folder, that match one of ``patterns``."""

    def test(folder: Path) -> bool:
        files = [item.relative_to(folder).as_posix() for item in folder.rglob("*") if not item.is_dir()]
        return all(any(fnmatchcase(file, pattern) for pattern in patterns) for file in files)

    return test


def require_replaceable(path: Path, ours: Ours) -> None:
    """Raises StraightflowError unless ``path`` is absent, an empty folder, or a folder that is ``ours``."""
    target = path.resolve()
    if not target.exists() or (target.is_dir() and (next(target.iterdir(), None) is None or ours(target))):
        return
    found = "a file"
    if target.is_dir():
        entries = sorted(item.name for item in target.iterdir())
        more = ", …" if len(entries) > NAMED_ENTRIES else ""
        found = f"a folder with {', '.join(entries[:NAMED_ENTRIES])}{more}, which this would not have written"
    raise StraightflowError(
        expected=f"nothing at {path}, an empty folder, or one of the kind that is to replace it",
        found=found,
        mend="move it elsewhere, or name another place",
    )
