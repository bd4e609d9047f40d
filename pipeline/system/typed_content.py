"""Content of the pipeline's own files as typed values: one check for who writes them and for who reads them.

The possible range of a number is part of its field's type, so a file is checked by naming the type that it holds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pipeline.system.errors import StraightflowError, validation_problems
from pipeline.system.whole_files import read_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Typed = TypeVar("Typed")
Record = TypeVar("Record", bound="DataclassInstance")

NO_OTHER_KEYS = ConfigDict(extra="forbid")
"""``__pydantic_config__`` of a dataclass whose file or line holds its fields and nothing else."""


def read_typed(path: Path, kind: type[Typed]) -> Typed:
    """A JSON file as a ``kind``.

    Raises:
        OSError: If it cannot be read, or is no file.
        ValueError: As :func:`parse_typed` does.
    """
    return parse_typed(read_bytes(path), kind)


def parse_typed(content: str | bytes, kind: type[Typed]) -> Typed:
    """JSON as a ``kind``; neither text nor a truth value stands for a number.

    Raises:
        ValueError: Naming the fields, if it is something else or has a number out of its range or not finite.
    """
    return _validated(lambda: TypeAdapter(kind).validate_json(content, strict=True))


def parse_lines(lines: list[dict[str, Any]], kind: type[Typed]) -> tuple[Typed, ...]:
    """Lines of a table of text, each as a ``kind``; errors as of :func:`parse_typed`, which begin with the line."""
    rows = TypeAdapter[tuple[Typed, ...]](tuple[kind, ...])  # type: ignore[valid-type]
    return _validated(lambda: rows.validate_python(lines))


def require_possible(value: Record, what: str) -> Record:
    """``value``, a dataclass that was measured and is to be written, if it could be read back.

    Raises:
        StraightflowError: Naming the fields out of their range; ``what`` names the value.
    """
    try:
        _validated(lambda: TypeAdapter(type(value)).validate_python(dataclasses.asdict(value)))
    except ValueError as error:
        raise StraightflowError(
            expected=f"numbers that can be in {what}",
            found=str(error),
            mend="look at what was measured: its samples or velocities are too large, or are not numbers",
        ) from error
    return value


def _validated(validate: Callable[[], Typed]) -> Typed:
    try:
        value = validate()
    except ValidationError as error:
        raise ValueError(validation_problems(error)) from error
    for place, number in _not_finite(value, ()):
        raise ValueError(f"{'.'.join(place) or 'the value'}: {number}, which is no finite number")
    return value


def _not_finite(value: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Places and values of numbers that are not finite, anywhere in ``value``."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    for name, part in _parts(value):
        yield from _not_finite(part, (*place, name))


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if dataclasses.is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        yield from ((str(name), part) for name, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(at), part) for at, part in enumerate(value))
