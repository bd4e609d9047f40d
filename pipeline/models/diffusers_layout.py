"""Where a diffusers checkpoint keeps its parts, and what its configuration says, without loading weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.whole_files import read_json as read_value


def locate(folder: Path, parts: tuple[str, ...], config_name: str) -> Path:
    """Folder of a part of a pipeline: the first of these subfolders, or the root, as in older checkpoints."""
    for candidate in (*(folder / part for part in parts), folder):
        if (candidate / config_name).is_file():
            return candidate
    names = ", ".join([f"{part}/{config_name}" for part in parts])
    raise StraightflowError(
        expected=f"a diffusers checkpoint with {names} or {config_name} in {folder}",
        found="none of these files" if folder.is_dir() else "no such folder",
        mend="name a folder saved by a pipeline of diffusers, or a hub id of one",
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; raises StraightflowError if it holds none."""
    try:
        content = read_value(path)
    except (OSError, ValueError, RecursionError) as error:
        raise StraightflowError(
            expected=f"JSON in {path}", found=one_line(error), mend="save the checkpoint again"
        ) from error
    if not isinstance(content, dict):
        raise StraightflowError(
            expected=f"a JSON object in {path}", found=type(content).__name__, mend="save the checkpoint again"
        )
    return content


def read_scheduler_config(folder: Path) -> dict[str, Any]:
    """Configuration of a saved pipeline's scheduler."""
    name = "scheduler_config.json"
    return read_json(locate(folder, ("scheduler",), name) / name)
