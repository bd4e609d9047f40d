"""From YAML to the typed configuration, with messages that name every offending key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from pipeline.config.graph import Config
from pipeline.config.methods import METHODS
from pipeline.config.older_layout import require_no_older_sections
from pipeline.config.section import Section
from pipeline.config.students import StudentConfig
from pipeline.system.errors import StraightflowError, nearest
from pipeline.system.yaml_text import read_yaml


def load_config(path: Path) -> Config:
    """Reads and validates a composed configuration.

    Args:
        path: The YAML file, normally ``params.yaml``.

    Raises:
        StraightflowError: If the file is missing, is not YAML, or does not validate. The message names
            every offending key and, for unknown keys, the nearest valid one.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise StraightflowError(
            expected=f"a composed configuration at {path}",
            found=str(error),
            mend="run from the project's folder, or compose one with `make repro`",
        ) from error
    return parse_config(content, origin=str(path))


def parse_config(content: object, *, origin: str) -> Config:
    """Validates a configuration given as plain mappings; ``origin`` names it in messages.

    Raises:
        StraightflowError: If it does not validate. The message names every offending key.
    """
    if not isinstance(content, dict):
        raise StraightflowError(
            expected=f"a mapping of sections in {origin}",
            found=type(content).__name__,
            mend="compose the file from a preset with `make repro`",
        )
    require_no_older_sections(content, origin)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        problems = [_describe(dict(item)) for item in error.errors()]
        raise StraightflowError(
            expected=f"a valid configuration in {origin}",
            found="\n          ".join(problems),
            mend="correct the keys above in configs/ (or on the command line) and compose again",
        ) from error


def _describe(problem: Mapping[str, Any]) -> str:
    """One line for one pydantic error, with the nearest valid key for an unknown one."""
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {dotted!r}{_better_key(location)}"
    if problem["type"] == "missing":
        return f"key {dotted!r} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not dotted:
        return message
    if problem["type"] == "value_error":
        return f"{dotted}: {message}"
    return f"{dotted}: {message}, found {problem['input']!r}"


def _better_key(location: Sequence[str]) -> str:
    """End of a message on an unknown key: the method of a student that it belongs to, or the nearest valid key."""
    *above, key = location
    sections = _sections_at(above)
    takers = " or ".join(name for name, method in METHODS.items() if key in method.model_fields)
    if takers and StudentConfig in sections:
        return f"; it belongs to the method {takers}, as {'.'.join(above)}.method.{key}"
    return nearest(key, list(dict.fromkeys(name for section in sections for name in section.model_fields)))


def _sections_at(location: Sequence[str]) -> list[type[Section]]:
    """The section classes that a dotted location of the configuration may hold; several for a method."""
    sections: list[type[Section]] = [Config]
    is_name = False
    for part in location:
        fields = [] if is_name else [item.model_fields[part] for item in sections if part in item.model_fields]
        sections = [item for field in fields for item in _sections_in(field.annotation)] or sections
        is_name = any(get_origin(field.annotation) is dict for field in fields)  # of couplings, or of a model
    return sections


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The section classes that an annotation names, in a collection or a union too."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)
