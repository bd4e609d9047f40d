"""Reads the files of other stages into typed form, with errors that name what is wrong."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipeline.system.errors import StraightflowError, validation_problems

Loaded = TypeVar("Loaded")


def load_json(path: Path, kind: type[Loaded]) -> Loaded:
    """A JSON file as a ``kind``.

    Raises:
        StraightflowError: If the file is missing or does not hold a ``kind``.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file by name; the same errors as :func:`load_json`."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def load_csv(path: Path, kind: type[Loaded]) -> tuple[Loaded, ...]:
    """Each line of a CSV file as a ``kind``; the same errors as :func:`load_json`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return parse_csv(text, kind, str(path))


def parse_csv(text: str, kind: type[Loaded], origin: str) -> tuple[Loaded, ...]:
    """Each line of CSV text as a ``kind``, empty fields as None; ``origin`` names the text in errors."""
    try:
        lines: list[dict[str, Any]] = [
            {key: value or None for key, value in line.items()} for line in csv.DictReader(io.StringIO(text))
        ]
        return TypeAdapter(tuple[kind, ...]).validate_python(lines)  # type: ignore[valid-type]
    except (ValueError, csv.Error) as error:
        raise _unreadable(origin, error) from error


def _unreadable(path: Path | str, error: Exception) -> StraightflowError:
    found = validation_problems(error) if isinstance(error, ValidationError) else str(error)
    return StraightflowError(
        expected=f"{path} as its stage writes it", found=found, mend="run `dvc repro`, which writes it again"
    )
