"""Lists unfinished stores: shards that a call with the same settings will continue.

Only the call that publishes a store removes them; others are left for people to delete.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.unfinished import PREFIX, SETTINGS
from pipeline.system.whole_files import read_json


@dataclass(frozen=True)
class Unfinished:
    """An unfinished store.

    Attributes:
        folder: Its folder.
        num_shards: Shards in it.
        num_bytes: Size of all its files.
        settings: The settings that its shards depend on, as plain values; None if they cannot be read.
    """

    folder: Path
    num_shards: int
    num_bytes: int
    settings: dict[str, Any] | None

    def is_of(self, config: CouplingsConfig) -> bool:
        """Whether a run of ``config`` continues it, if source, precision and code are unchanged."""
        promised = config.model_dump(mode="json")
        if self.settings is None or self.settings.get("states") != promised.get("states"):
            return False
        return all(promised.get(key) == value for key, value in self.settings.items())

    def describe(self) -> str:
        """What it holds, in one line."""
        made = "settings unknown"
        if self.settings is not None:
            solver = SolverConfig.model_validate(self.settings["solver"])
            made = f"from {self.settings['source']} by {solver.label}, {solver.num_steps or 'adaptive'} steps"
            made += f", seed {self.settings['seed']}"
        return f"{self.folder}: {self.num_shards} shards, {self.num_bytes / 1e6:,.1f} MB, {made}"


def unfinished_stores(runs_folder: Path) -> list[Unfinished]:
    """Every unfinished store in ``runs_folder``, by name."""
    return [_read(folder) for folder in sorted(runs_folder.glob(f"{PREFIX}*")) if folder.is_dir()]


def _read(folder: Path) -> Unfinished:
    files = [path for path in folder.iterdir() if path.is_file()]
    return Unfinished(
        folder=folder,
        num_shards=sum(path.suffix == ".safetensors" for path in files),
        num_bytes=sum(path.stat().st_size for path in files),
        settings=_settings(folder / SETTINGS),
    )


class _Settings(BaseModel):
    """The part of the settings that is told."""

    source: str
    solver: SolverConfig
    seed: int


def _settings(path: Path) -> dict[str, Any] | None:
    """None where a store was begun before settings were kept, or killed while it began, or the file is damaged."""
    try:
        content = read_json(path)
        _Settings.model_validate(content)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
