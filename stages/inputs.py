"""Keeps the user's inputs apart from the graph's outputs, which DVC deletes before their stage runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.system.errors import StraightflowError
from stages import paths


def require_apart_from_outputs(config: Config, project: Path = paths.PROJECT) -> None:
    """Checks that no input is, contains, or lies in a folder that stages write, symbolic links resolved.

    Args:
        config: Names the inputs.
        project: The folder of the run.

    Raises:
        StraightflowError: If one does.
    """
    places = ", ".join(map(str, paths.OUTPUTS))
    for key, given in _inputs(config):
        for output in paths.OUTPUTS:
            if _overlap(project / given, project / output):
                raise StraightflowError(
                    expected=f"{key} outside of {places}, where stages write and DVC deletes",
                    found=f"{given}, which is, contains or lies in {output}",
                    mend=f"move it to a folder of its own, and name that as {key}",
                )


def _inputs(config: Config) -> Iterator[tuple[str, Path]]:
    """Inputs by the key that names them; hub ids count too, as a folder of that name would be used instead."""
    named = {
        "data.location": config.data.location,
        "teacher.pretrained": config.teacher.pretrained,
        "teacher.guide": config.teacher.guide,
        "features.inception.weights": config.features.inception.weights,
        "features.dinov2.weights": config.features.dinov2.weights,
    }
    if config.autoencoder is not None and config.autoencoder.is_brought_along:
        named["autoencoder.source"] = config.autoencoder.source
    if config.features.reference_file is not None:
        named["features.reference.file"] = config.features.reference_file.file
    for key, value in named.items():
        if value is not None:
            yield key, Path(value)


def _overlap(a: Path, b: Path) -> bool:
    """Whether one of two paths is or contains the other, as they are written or as links resolve them."""
    return any(_contains(x, y) or _contains(y, x) for x in _readings(a) for y in _readings(b))


def _readings(path: Path) -> tuple[Path, Path]:
    """A path without ``..``: as it is written, and with its links resolved."""
    return Path(os.path.normpath(path.absolute())), path.resolve()


def _contains(folder: Path, path: Path) -> bool:
    """Whether ``path`` or a folder above it is ``folder``: by name, or the same one on the disk."""
    above = (path, *path.parents)
    return folder in above or (folder.exists() and any(item.exists() and item.samefile(folder) for item in above))
