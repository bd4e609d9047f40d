"""Images in parquet files, read as a stream: encoded as bytes, or as structs with a field ``bytes``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from pipeline.config.data import DataConfig
from pipeline.data.columns import image_column, label_column
from pipeline.data.image_format import decode_image, unreadable_image
from pipeline.data.image_tables import ImageTable, ImageTables, require_exists
from pipeline.data.labels import Labels, number_labels
from pipeline.data.parquet_splits import parquet_splits
from pipeline.system.errors import StraightflowError, one_line

LOOKED_AT = 64
BATCH_ROWS = 64


def parquet_tables(config: DataConfig) -> ImageTables:
    """Finds the configured splits in parquet files, and reads their labels.

    Raises:
        StraightflowError: If a file, a column or a label is missing, or cannot be read.
    """
    location = Path(str(config.location))
    require_exists(location)
    with _reading(location):
        files = parquet_splits(location, config)
    tables = {split: _table(split, path, config) for split, path in files.items()}
    return ImageTables(tables, _labels(files, config), tuple(files.values()))


def _table(split: str, path: Path, config: DataConfig) -> ImageTable:
    with _reading(path):
        file = pyarrow.parquet.ParquetFile(path)
    num_images = file.metadata.num_rows
    if num_images == 0:
        raise StraightflowError(
            expected=f"a readable parquet file with at least one row at {path}",
            found="no rows",
            mend="write the file again",
        )
    column = image_column(file.schema_arrow, str(path), config)

    def decode(rows: np.ndarray) -> Iterator[np.ndarray]:
        for row, cell in _cells(path, column, rows):
            where = f"row {row} of split {split!r} in {path}"
            yield decode_image(_encoded(cell, where), config, where)

    return ImageTable(num_images, np.arange(min(num_images, LOOKED_AT)), decode)


def _cells(path: Path, column: str, rows: np.ndarray) -> Iterator[tuple[int, object]]:
    """Cells of rising row numbers, in one pass over the row groups that hold them."""
    with _reading(path):
        file = pyarrow.parquet.ParquetFile(path)
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            first, last = np.searchsorted(rows, (start, end))
            if first < last:
                yield from _cells_of_group(file, group, column, rows[first:last], start)
            start = end


def _cells_of_group(
    file: pyarrow.parquet.ParquetFile, group: int, column: str, rows: np.ndarray, start: int
) -> Iterator[tuple[int, object]]:
    for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=[column]):
        end = start + batch.num_rows
        for row in rows[slice(*np.searchsorted(rows, (start, end)))]:
            yield int(row), batch.column(column)[int(row) - start].as_py()
        start = end
        if start > rows[-1]:
            return


def _encoded(cell: object, where: str) -> bytes:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes) and content:
        return content
    path = cell.get("path") if isinstance(cell, dict) else None
    if path is not None:
        raise StraightflowError(
            expected=f"the bytes of an image at {where}",
            found=f"its path {str(path)!r} alone",
            mend="write the file with the images in it, or set data.source: folder",
        )
    raise unreadable_image(where, "an empty cell")


def _labels(files: dict[str, Path], config: DataConfig) -> Labels | None:
    schemas = {}
    for path in files.values():
        with _reading(path):
            schemas[str(path)] = pyarrow.parquet.ParquetFile(path).schema_arrow
    column = label_column(schemas, config)
    if column is None:
        return None
    values: dict[str, list[object]] = {}
    for split, path in files.items():
        with _reading(path):
            values[split] = pyarrow.parquet.ParquetFile(path).read(columns=[column]).column(column).to_pylist()
    return number_labels(values, lambda split, row: f"row {row} of split {split!r} in {files[split]}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns any error of reading a file into a StraightflowError that names the file."""
    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise StraightflowError(
            expected=f"a readable parquet file at {path}",
            found=one_line(error),
            mend="see that you may read it, or write the file again",
        ) from error
