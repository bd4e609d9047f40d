"""Checks that the data exist and have the configured shape, by finding all of them and opening a few."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.config.data import DataConfig
from pipeline.data.image_source import ImageSource, find_images
from pipeline.data.labels import require_classes
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json
from pipeline.system.hub import hub_revision


def check_data(
    data: DataConfig, previous: dict[str, object], *, classes_needed_by: str | None = None
) -> dict[str, object]:
    """Checks the configured images without decoding them all; points, which are drawn, need no check.

    Args:
        data: Where they come from.
        previous: What this function returned last time; stands in for a hub that does not answer now but did then.
        classes_needed_by: What in the run needs labels, if anything. Labels on the hub are checked when they are read.

    Returns:
        What the data stage depends on: source, location and fingerprint, and for local files the numbers of images and
        classes. Local files, including tables of labels, are fingerprinted by name, size and modification time, as
        reading a large set every time would take minutes.

    Raises:
        StraightflowError: If images or labels are missing, unreadable, or not as configured.
    """
    record: dict[str, object] = {"source": data.source, "location": data.location}
    if data.space == "points":
        return record | {"fingerprint": None}
    if data.source == "hub":
        location = str(data.location)
        try:
            return record | {"fingerprint": hub_revision("dataset", location)}
        except StraightflowError:
            if {key: previous.get(key) for key in record} == record or _is_cached(location):
                return record | {"fingerprint": previous.get("fingerprint")}
            raise
    source = find_images(data)
    for table in source.tables.splits.values():
        for _ in table.decode(table.first_look):
            pass  # decoding names what is wrong
    if classes_needed_by is not None:
        require_classes(source.train.labels, classes_needed_by)
    if data.location is None:  # nothing outside of the code and the configuration that could change
        return record | {"fingerprint": None}
    return record | {"fingerprint": _fingerprint(source.files), "content": _content(source)}


def _fingerprint(files: Iterable[Path]) -> str:
    status = ((path, path.stat()) for path in files)
    return fingerprint_json([[str(path), item.st_size, item.st_mtime_ns] for path, item in status])


def _content(source: ImageSource) -> str:
    """How many images and classes there are, in words."""
    images = f"{len(source.train)} images to train on, {len(source.heldout)} held out"
    if source.tables.labels is None:
        return f"{images}, without labels"
    names = source.class_names
    classes = len(np.unique(np.concatenate(list(source.tables.labels.by_split.values()))))
    few = f" ({', '.join(map(_printable, names))})" if names is not None and classes <= 10 else ""
    return f"{images}, {classes} classes{few}"


def _printable(name: str) -> str:
    """Escapes a folder's name if it holds line breaks or bytes that are not text."""
    return name if name.isprintable() else ascii(name)


def _is_cached(name: str) -> bool:
    """Whether ``datasets`` has prepared this hub data set before."""
    import datasets

    return (Path(datasets.config.HF_DATASETS_CACHE) / name.replace("/", "___")).is_dir()
