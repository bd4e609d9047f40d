"""Which processes run DVC in a project: between two stages nothing else says that a run is in progress."""

from __future__ import annotations

import os
from pathlib import Path


def dvc_at_work(project: Path) -> list[int]:
    """Processes of this machine that run DVC in the project's folder or below it, as proc(5) lists them."""
    found, root = [], project.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = os.fsdecode((process / "cmdline").read_bytes()).split("\0")
            folder = (process / "cwd").resolve(strict=True)
        except OSError:  # it has ended, or is of another user
            continue
        # Its daemons look for updates and hold nothing.
        runs_dvc = any(Path(argument).name == "dvc" for argument in arguments[:3]) and "daemon" not in arguments
        if runs_dvc and folder.is_relative_to(root):
            found.append(int(process.name))
    return sorted(found)
