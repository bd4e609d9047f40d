"""Images of a data set on the hub, through ``datasets``, which keeps a copy in its own cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
import pyarrow

from pipeline.config.data import DataConfig
from pipeline.data.columns import image_column, label_column
from pipeline.data.image_format import decode_image, unreadable_image
from pipeline.data.image_tables import ImageTable, ImageTables, wrong_split
from pipeline.data.labels import Labels, number_labels
from pipeline.system.errors import StraightflowError, causes, one_line
from pipeline.system.file_errors import is_of_a_full_or_closed_disk


def hub_tables(config: DataConfig, revision: str | None) -> ImageTables:
    """Downloads the configured splits of a commit, or opens them in the cache, and reads their labels.

    Args:
        config: Names the data set.
        revision: The commit, as :func:`pipeline.data.hub_metadata.read_metadata` looked at it.

    Raises:
        StraightflowError: If the data set cannot be loaded or is there in another version alone, its copy cannot be
            written, or a column or label is missing.
    """
    loaded = _load(config, revision)
    tables = {split: _table(split, dataset, config) for split, dataset in loaded.items()}
    return ImageTables(tables, _labels(loaded, config))


def open_builder(config: DataConfig, revision: str | None) -> datasets.DatasetBuilder:
    """What ``datasets`` knows of a commit of the data set before it downloads any of it.

    Raises:
        StraightflowError: If it cannot be had, or only in another version.
    """
    location = str(config.location)
    with loading(location):
        builder = datasets.load_dataset_builder(location, config.subset, revision=revision)
    # Without network `datasets` takes the newest copy that it has; a folder of that name it takes before the hub.
    if revision is not None and builder.hash != revision:
        raise StraightflowError(
            expected=f"commit {revision} of the hub data set {location}, as check recorded it",
            found=f"version {builder.hash}, in the cache of datasets or in a folder of that name",
            mend="connect to the network, and see that no folder has the name of the data set",
        )
    return builder


def split_origin(split: str, config: DataConfig) -> str:
    """What names a split in errors."""
    return f"split {split!r} of {config.location}"


def is_whole(split: str) -> bool:
    """Whether a split is named as a whole, and not as parts or sums of splits: ``train[:10%]``, ``train+test``."""
    return split != "all" and not {"[", "+"} & set(split)


def schema_of(features: datasets.Features) -> pyarrow.Schema:
    """The columns as parquet files hold them; bytes of media other than images are left without a type."""
    schema = features.arrow_schema
    for place, (name, feature) in enumerate(features.items()):
        if hasattr(feature, "decode_example") and not isinstance(feature, datasets.Image):
            schema = schema.set(place, pyarrow.field(name, pyarrow.null()))
    return schema


def _load(config: DataConfig, revision: str | None) -> dict[str, datasets.Dataset]:
    splits = [split for split in (config.train_split, config.heldout_split) if split is not None]
    builder = open_builder(config, revision)
    with loading(str(config.location)):
        builder.download_and_prepare()
        for split in splits:
            if is_whole(split) and split not in builder.info.splits:
                raise wrong_split(split, list(map(str, builder.info.splits)))
        return dict(zip(splits, builder.as_dataset(split=splits), strict=True))


@contextmanager
def loading(location: str) -> Iterator[None]:
    """Turns any error of ``datasets`` into a StraightflowError that names the data set or the cache."""
    try:
        yield
    except StraightflowError:
        raise
    except Exception as error:  # transport errors are those of whatever HTTP client the hub's library uses
        if _is_of_the_cache(error):
            raise StraightflowError(
                expected=f"room and the right to write in {datasets.config.HF_DATASETS_CACHE}, where datasets keeps "
                "its copy",
                found=one_line(error),
                mend="make room, or set HF_HOME to a folder that can be written",
            ) from error
        raise StraightflowError(
            expected=f"a readable hub data set at {location}",
            found=one_line(error),
            mend="correct data.location; a hub id needs the network on first use, a local copy does not "
            "(data.source: folder or parquet)",
        ) from error


def _is_of_the_cache(error: BaseException) -> bool:
    """Whether the cached copy could not be written; ``datasets`` reports that as an error of the data set."""
    return is_of_a_full_or_closed_disk(error) or any(map(_is_about_the_cache, causes(error)))


def _is_about_the_cache(error: BaseException) -> bool:
    if not isinstance(error, OSError):
        return False
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    in_cache = isinstance(error.filename, str) and Path(error.filename).is_relative_to(cache)
    return in_cache or str(error).startswith("Not enough disk space")


def _table(split: str, dataset: datasets.Dataset, config: DataConfig) -> ImageTable:
    column = image_column(schema_of(dataset.features), split_origin(split, config), config)
    encoded = dataset.cast_column(column, datasets.Image(decode=False))

    def decode(rows: np.ndarray) -> Iterator[np.ndarray]:
        for row, stored in zip(rows, encoded.select(rows)[column], strict=True):
            where = f"row {row} of split {split!r}"
            yield decode_image(_content(stored, where), config, where)

    return ImageTable(len(dataset), np.arange(0), decode)


def _content(stored: dict[str, object] | None, where: str) -> bytes:
    content = stored["bytes"] if stored is not None else None
    if isinstance(content, bytes):
        return content
    if stored is None or stored["path"] is None:
        raise unreadable_image(where, "an empty cell")
    try:
        return Path(str(stored["path"])).read_bytes()
    except OSError as error:
        raise unreadable_image(where, one_line(error)) from error


def _labels(loaded: dict[str, datasets.Dataset], config: DataConfig) -> Labels | None:
    schemas = {split_origin(split, config): schema_of(dataset.features) for split, dataset in loaded.items()}
    column = label_column(schemas, config)
    if column is None:
        return None
    values = {split: dataset[column][:] for split, dataset in loaded.items()}
    return number_labels(values, lambda split, row: f"row {row} of split {split!r}")
