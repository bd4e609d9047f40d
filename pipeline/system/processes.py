"""Processes of this machine, told apart from later ones that have the same number."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path


def host() -> str:
    """Name of this machine, as part of a file's name."""
    return re.sub(r"[@/]", "-", socket.gethostname())[:32] or "localhost"


def is_alive(process: int) -> bool:
    """Whether a process of this machine has this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def start_of(process: int) -> str | None:
    """When a process began, in ticks since the machine did (proc(5), field 22); None if there is no such process."""
    try:
        content = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets, which may itself hold spaces and brackets.
    return content.rpartition(")")[2].split()[19]
