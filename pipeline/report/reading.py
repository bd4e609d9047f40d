"""Reads the files of other stages into typed form, with errors that name the file, the row and the field."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.system.array_files import read_arrays, read_notes
from pipeline.system.errors import StraightflowError
from pipeline.system.file_errors import advice
from pipeline.system.typed_content import parse_lines, read_typed
from pipeline.system.whole_files import read_text

Loaded = TypeVar("Loaded")


def load_json(path: Path, kind: type[Loaded]) -> Loaded:
    """A JSON file as a ``kind``.

    Raises:
        StraightflowError: If the file is missing, holds something else, or has a number that cannot be.
    """
    try:
        return read_typed(path, kind)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file by name; the same errors as :func:`load_json`."""
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def load_samples_of(path: Path, model: str) -> dict[str, np.ndarray]:
    """Arrays of ``samples/<model>.safetensors``, at least one; the same errors as :func:`load_json`.

    A file that was written without its model's name is read as well.
    """
    arrays = load_arrays(path)
    try:
        if not arrays:
            raise ValueError("no samples")
        owner = read_notes(path).get("model", model)
        if owner != model:
            raise ValueError(f"samples of {owner}")
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return arrays


def load_csv(path: Path, kind: type[Loaded]) -> tuple[Loaded, ...]:
    """Each line of a CSV file as a ``kind``; the same errors as :func:`load_json`."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return parse_csv(text, kind, str(path))


def parse_csv(text: str, kind: type[Loaded], origin: str) -> tuple[Loaded, ...]:
    """Each line of CSV text as a ``kind``, empty fields as None; ``origin`` names the text in errors."""
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True, restkey=_MORE, restval=_FEWER)
        columns = reader.fieldnames or ()
        if len(set(columns)) < len(columns):
            raise ValueError("several columns of one name")
        lines: list[dict[str, Any]] = [{key: value or None for key, value in line.items()} for line in reader]
        if any(_MORE in line for line in lines):
            raise ValueError("a line of more fields than there are columns")
        absent = [name for name in _required(kind) if name not in columns]
        if not absent and any(_FEWER in line.values() for line in lines):
            raise ValueError("a line of fewer fields than there are columns")
        if absent and not lines:
            raise ValueError(f"no column {', '.join(absent)}")
        return parse_lines(lines, kind)
    except (ValueError, csv.Error) as error:
        raise unreadable(origin, error) from error


_MORE, _FEWER = "more fields", "\0fewer fields"


def _required(kind: Any) -> list[str]:
    """Fields of a dataclass that have no default."""
    return [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]


def unreadable(path: Path | str, error: Exception) -> StraightflowError:
    """The error for a file of another stage that cannot be read or that holds what no stage writes."""
    again = "run `dvc repro`, which writes it again"
    in_the_way = isinstance(error, OSError) and error.errno not in (None, errno.ENOENT)
    return StraightflowError(
        expected=f"{path} as its stage writes it",
        found=str(error),
        mend=f"{advice(error)}; then {again}" if in_the_way and isinstance(error, OSError) else again,
    )
