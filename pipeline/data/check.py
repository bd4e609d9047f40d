"""Checks that the data exist and have the configured shape, by finding all of them and opening a few."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.data import DataConfig
from pipeline.data.image_source import ImageSource, find_images
from pipeline.data.labels import require_classes, require_every_class
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json
from pipeline.system.hub import hub_revision

COMMIT = re.compile(r"[0-9a-f]{40}")
"""Names a version on the hub for good."""


@dataclass(frozen=True)
class DataFacts:
    """What else the data say before they are read, for checks of the rest of the run.

    Attributes:
        split_sizes: Samples to train on and held out; None if only reading them would tell.
        num_classes: Classes that a model of these labels would need; 0 without labels, None if only reading would tell.
    """

    split_sizes: tuple[int, int] | None
    num_classes: int | None


def check_data(
    data: DataConfig,
    previous: dict[str, object],
    *,
    classes_needed_by: str | None = None,
    every_class: bool = False,
    tell: Callable[[DataFacts], object] = lambda _: None,
) -> dict[str, object]:
    """Checks the configured images without decoding them all; points, which are drawn, need no check.

    Args:
        data: Where they come from.
        previous: What this function returned last time; stands in for a hub that does not answer now but did then.
        classes_needed_by: What in the run needs labels, if anything. Of labels on the hub only what their column says
            is checked; their values are when they are read.
        every_class: Whether each class must have an image to train on, as a model that is conditioned on it needs.
        tell: Is called with what was found, for checks of the rest of the run; but not for points, which the
            configuration alone decides, nor for a hub that does not answer.

    Returns:
        What the data stage depends on: source, location and fingerprint, and for local files the numbers of images and
        classes. The fingerprint of a data set on the hub is the commit that is read. Local files, including tables of
        labels, are fingerprinted by name, size and modification time, as reading a large set every time would take
        minutes.

    Raises:
        StraightflowError: If images or labels are missing, unreadable, or not as configured.
    """
    record: dict[str, object] = {"source": data.source, "location": data.location}
    if data.space == "points":
        return record | {"fingerprint": None}
    if data.source == "hub":
        return record | {"fingerprint": _check_on_hub(data, previous, classes_needed_by, tell)}
    source = find_images(data)
    for table in source.tables.splits.values():
        for _ in table.decode(table.first_look):
            pass  # decoding names what is wrong
    if classes_needed_by is not None:
        (require_every_class if every_class else require_classes)(source.train.labels, classes_needed_by)
    labels = source.train.labels
    tell(DataFacts((len(source.train), len(source.heldout)), 0 if labels is None else int(labels.max()) + 1))
    if data.location is None:  # nothing outside of the code and the configuration that could change
        return record | {"fingerprint": None}
    return record | {"fingerprint": _fingerprint(source.files), "content": _content(source)}


def _check_on_hub(
    data: DataConfig,
    previous: dict[str, object],
    classes_needed_by: str | None,
    tell: Callable[[DataFacts], object],
) -> str:
    """The newest commit, judged by its metadata; without network the one recorded, or the newest in the cache."""
    location = str(data.location)
    try:
        revision = hub_revision("dataset", location)
    except StraightflowError:
        recorded = previous.get("fingerprint")
        if (previous.get("source"), previous.get("location")) == ("hub", location) and isinstance(recorded, str):
            return recorded
        cached = _cached_revision(location)
        if cached is None:
            raise
        return cached
    from pipeline.data.hub_metadata import read_metadata  # with datasets, which takes seconds

    found = read_metadata(data, revision)
    if classes_needed_by is not None and found.num_classes is not None:
        require_classes(np.arange(found.num_classes) if found.num_classes else None, classes_needed_by)
    tell(DataFacts(found.split_sizes, found.num_classes))
    return revision


def _fingerprint(files: Iterable[Path]) -> str:
    status = ((path, path.stat()) for path in files)
    return fingerprint_json([[str(path), item.st_size, item.st_mtime_ns] for path, item in status])


def _content(source: ImageSource) -> str:
    """How many images and classes there are, in words."""
    images = f"{len(source.train)} images to train on, {len(source.heldout)} held out"
    if source.tables.labels is None:
        why = source.tables.why_unlabelled
        return f"{images}, without labels" + (f", as {why}" if why is not None else "")
    names = source.class_names
    classes = len(np.unique(np.concatenate(list(source.tables.labels.by_split.values()))))
    few = f" ({', '.join(map(_printable, names))})" if names is not None and classes <= 10 else ""
    return f"{images}, {classes} classes{few}"


def _printable(name: str) -> str:
    """Escapes a folder's name if it holds line breaks or bytes that are not text."""
    return name if name.isprintable() else ascii(name)


def _cached_revision(name: str) -> str | None:
    """The commit of a hub data set that ``datasets`` prepared last; None if there is none."""
    import datasets
    from datasets.naming import camelcase_to_snakecase

    *owner, last = name.split("/")
    place = Path(datasets.config.HF_DATASETS_CACHE) / "___".join((*owner, camelcase_to_snakecase(last)))
    copies = [item for item in place.glob("*/*/*") if item.is_dir() and COMMIT.fullmatch(item.name)]
    return max(copies, key=lambda item: item.stat().st_mtime_ns).name if copies else None
