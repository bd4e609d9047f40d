"""Folders that behave like mounts of other disks: renaming or linking across them fails as it would there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def mount(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Makes each of ``folders`` behave like a disk of its own until the test ends."""
    disks = [str(folder.resolve()) for folder in folders]

    def disk(path: Any) -> str | None:
        # The name itself is moved, not what it points to.
        resolved = Path(os.fsdecode(path))
        where = str(resolved.parent.resolve() / resolved.name)
        return max((item for item in disks if (where + "/").startswith(item + "/")), key=len, default=None)

    def guarded(function: Callable[..., None]) -> Callable[..., None]:
        def call(source: Any, destination: Any, *arguments: Any, **named: Any) -> None:
            if disk(source) != disk(destination):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, destination)
            function(source, destination, *arguments, **named)

        return call

    for name in ("rename", "replace", "link"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
