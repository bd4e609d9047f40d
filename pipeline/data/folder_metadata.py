"""Tables beside pictures, ``metadata.csv``, ``.jsonl`` or ``.parquet``: a row for each image, named by file_name."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.data.folder_listing import FolderListing
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.whole_files import parse_json, read_text

FILE_NAME = "file_name"


@dataclass(frozen=True)
class FolderMetadata:
    """What the tables of a folder say.

    Attributes:
        columns: Names of all columns.
        rows: A row for every image.
    """

    columns: tuple[str, ...]
    rows: Mapping[PurePosixPath, Mapping[str, object]]


def read_metadata(folder: Path, listing: FolderListing) -> FolderMetadata | None:
    """Reads every table of the folder; None if it has none. ``file_name`` is relative to its table's folder.

    Raises:
        StraightflowError: If a table cannot be read, has no ``file_name``, names an image twice or one that does not
            exist, or if an image has no row.
    """
    if not listing.metadata:
        return None
    columns: dict[str, None] = {}
    rows: dict[PurePosixPath, Mapping[str, object]] = {}
    images = set(listing.images)
    for table in listing.metadata:
        for number, row in enumerate(_read_table(folder / table), start=1):
            where = f"row {number} of {folder / table}"
            name = row.get(FILE_NAME)
            if not isinstance(name, str):
                raise StraightflowError(
                    expected=f"column {FILE_NAME}, the path of an image, in {where}",
                    found=f"columns {', '.join(map(str, row))}" if FILE_NAME not in row else repr(name),
                    mend="correct the table, or rename it if it is not about these images",
                )
            image = PurePosixPath(posixpath.normpath((table.parent / name).as_posix()))
            if image not in images or image in rows:
                raise StraightflowError(
                    expected=f"one row for each image below {folder}",
                    found=f"{'a second row for' if image in rows else 'no image'} {name!r}, {where}",
                    mend="correct the table",
                )
            rows[image] = row
            columns.update(dict.fromkeys(row))
    for image in listing.images:
        if image not in rows:
            raise StraightflowError(
                expected=f"one row for each image below {folder} in {', '.join(map(str, listing.metadata))}",
                found=f"none for {image}",
                mend="add it to the table, or keep the image elsewhere",
            )
    return FolderMetadata(tuple(columns), rows)


def _read_table(path: Path) -> Iterable[Mapping[str, object]]:
    import pyarrow

    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            table = pyarrow.parquet.ParquetFile(path).read()
            _require_distinct(table.column_names)
            return list(table.to_pylist())
        text = read_text(path).removeprefix("\ufeff")
        return _csv_rows(text) if path.suffix == ".csv" else _json_rows(text)
    except (OSError, ValueError, csv.Error, RecursionError, pyarrow.ArrowException) as error:
        raise StraightflowError(
            expected=f"a readable table at {path}", found=one_line(error), mend="write it again, as UTF-8 text"
        ) from error


def _csv_rows(text: str) -> list[dict[str, object]]:
    table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not table:
        raise ValueError("an empty file")
    header = table[0]
    _require_distinct(header)
    rows = [(number, row) for number, row in enumerate(table[1:], start=1) if row]
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{len(row)} cells under {len(header)} columns in row {number}")
    return [dict(zip(header, row, strict=True)) for _, row in rows]


def _require_distinct(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two columns of one name in {names}")


def _json_rows(text: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number, line in enumerate(filter(str.strip, text.split("\n")), start=1):
        row = parse_json(line)
        if not isinstance(row, dict):
            raise ValueError(f"row {number} is not an object")
        rows.append(row)
    return rows
