"""What DVC's cache holds that neither the workspace nor any commit or experiment names, as ``dvc gc`` says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pipeline.system.errors import StraightflowError

# Workspace, all commits of git and all experiments keep what they name.
KEEPING = ("--workspace", "--all-commits", "--all-experiments")
_REMOVING = re.compile(r"^Removing (.+)$", re.MULTILINE)


class DvcCache:
    """The unused part of the cache of a project's DVC; empty where the project has no DVC.

    A cache outside of the project may be shared with others, of whose use nothing is known here: it is left alone.

    Args:
        project: The project's folder.

    Raises:
        StraightflowError: If DVC cannot say what is used.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._is_own = False
        self._unused: list[Path] = []
        self._place: Path | None = None
        if (project / ".dvc/config").is_file():
            self._place = Path(self._dvc("cache", "dir").strip())
            self._is_own = (project / self._place).resolve().is_relative_to(project.resolve())
        if self._is_own:
            # A dry call deletes nothing and asks nothing.
            self._unused = [Path(path) for path in _REMOVING.findall(self._dvc("gc", *KEEPING, "--dry"))]

    @property
    def num_bytes(self) -> int:
        """Size of what is not used."""
        return sum(path.stat().st_size for path in self._unused if path.is_file())

    def describe(self) -> str:
        """What is not used, in one line."""
        if self._place is None:
            return "no DVC in this folder"
        if not self._is_own:
            return f"{self._place}: DVC's cache is outside of the project and may be shared; see `dvc gc --help`"
        used = "by the workspace, a commit or an experiment"
        return f"{self._place}: {len(self._unused)} files not used {used}, {self.num_bytes / 1e6:,.1f} MB"

    def collect(self) -> None:
        """Has DVC delete what it says is not used."""
        if self._unused:
            self._dvc("gc", *KEEPING, "--force")

    def _dvc(self, *arguments: str) -> str:
        """What a call of DVC printed."""
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=self._project, capture_output=True, encoding="utf-8", check=False)
        if done.returncode != 0:
            raise StraightflowError(
                expected=f"`dvc {' '.join(arguments)}` to end well",
                found=" ".join(done.stderr.split())[-500:] or f"exit status {done.returncode}",
                mend="mend what DVC names; nothing of its cache was deleted",
            )
        return done.stdout
