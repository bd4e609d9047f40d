"""Reads the files of other stages into typed form, with errors that name what is wrong."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipeline.system.errors import StraightflowError, validation_problems
from pipeline.system.whole_files import read_bytes, read_text, require_file

Loaded = TypeVar("Loaded")


def load_json(path: Path, kind: type[Loaded]) -> Loaded:
    """A JSON file as a ``kind``.

    Raises:
        StraightflowError: If the file is missing, holds something else, or has a number that is not finite.
    """
    try:
        return _finite(TypeAdapter(kind).validate_json(read_bytes(path)))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file by name; the same errors as :func:`load_json`."""
    try:
        require_file(path)
        return {name: _finite_array(name, values) for name, values in load_file(path).items()}
    # The last three are those of types that NumPy has not, and of headers that lie.
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error


def load_csv(path: Path, kind: type[Loaded]) -> tuple[Loaded, ...]:
    """Each line of a CSV file as a ``kind``; the same errors as :func:`load_json`."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return parse_csv(text, kind, str(path))


def parse_csv(text: str, kind: type[Loaded], origin: str) -> tuple[Loaded, ...]:
    """Each line of CSV text as a ``kind``, empty fields as None; ``origin`` names the text in errors."""
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True, restkey=_MORE)
        columns = reader.fieldnames or ()
        if len(set(columns)) < len(columns):
            raise ValueError("several columns of one name")
        lines: list[dict[str, Any]] = [{key: value or None for key, value in line.items()} for line in reader]
        if any(_MORE in line for line in lines):
            raise ValueError("a line of more fields than there are columns")
        rows: tuple[Loaded, ...] = TypeAdapter(tuple[kind, ...]).validate_python(lines)  # type: ignore[valid-type]
        return _finite(rows)
    except (ValueError, csv.Error) as error:
        raise _unreadable(origin, error) from error


_MORE = "more fields"


def _finite(value: Loaded) -> Loaded:
    """``value``, or ValueError where a number anywhere in it is not finite."""
    parts: Iterable[object] = ()
    if dataclasses.is_dataclass(value):
        parts = (getattr(value, field.name) for field in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value}, which is no finite number")
    for part in parts:
        _finite(part)
    return value


def _finite_array(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError(f"numbers that are not finite in {name}")
    return values


def _unreadable(path: Path | str, error: Exception) -> StraightflowError:
    found = validation_problems(error) if isinstance(error, ValidationError) else str(error)
    return StraightflowError(
        expected=f"{path} as its stage writes it", found=found, mend="run `dvc repro`, which writes it again"
    )
