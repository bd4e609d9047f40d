"""Images of a data set on the hub, through ``datasets``, which keeps a copy in its own cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np

from pipeline.config.data import DataConfig
from pipeline.data.image_format import decode_image, unreadable_image
from pipeline.data.image_tables import ImageTable, ImageTables
from pipeline.data.labels import Labels, number_labels
from pipeline.system.errors import StraightflowError, causes, nearest, one_line
from pipeline.system.file_errors import is_of_a_full_or_closed_disk

LABEL_COLUMN = "label"


def hub_tables(config: DataConfig) -> ImageTables:
    """Downloads the configured splits, or opens them in the cache, and reads their labels.

    Raises:
        StraightflowError: If the data set cannot be loaded, its copy cannot be written, or a column or label is
            missing.
    """
    loaded = _load(config)
    tables = {split: _table(split, dataset, config) for split, dataset in loaded.items()}
    return ImageTables(tables, _labels(loaded, config))


def _load(config: DataConfig) -> dict[str, datasets.Dataset]:
    location = str(config.location)
    splits = [split for split in (config.train_split, config.heldout_split) if split is not None]
    try:
        return dict(zip(splits, datasets.load_dataset(location, config.subset, split=splits), strict=True))
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
    column = _image_column(dataset, config)
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


def _image_column(dataset: datasets.Dataset, config: DataConfig) -> str:
    columns = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Image)]
    if config.image_column is None and len(columns) == 1:
        return str(columns[0])
    if config.image_column in columns:
        return str(config.image_column)
    raise StraightflowError(
        expected="one image column" if config.image_column is None else f"image column {config.image_column!r}",
        found=f"image columns {columns} among {dataset.column_names}",
        mend="set data.image_column",
    )


def _labels(loaded: dict[str, datasets.Dataset], config: DataConfig) -> Labels | None:
    column = config.label_column or LABEL_COLUMN
    values = {split: dataset[column][:] for split, dataset in loaded.items() if column in dataset.column_names}
    if len(values) < len(loaded) and (values or config.label_column is not None):
        split = next(split for split in loaded if split not in values)
        raise StraightflowError(
            expected=f"label column {column!r} in split {split!r}",
            found=f"{column!r}{nearest(column, loaded[split].column_names)}",
            mend="set data.label_column",
        )
    return number_labels(values, lambda split, row: f"row {row} of split {split!r}") if values else None
