"""From YAML to the typed configuration, with messages that name every offending key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from pipeline.config.graph import Config
from pipeline.config.section import Section
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
    """Validates a configuration given as plain mappings; ``origin`` names it in messages."""
    if not isinstance(content, dict):
        raise StraightflowError(
            expected=f"a mapping of sections in {origin}",
            found=type(content).__name__,
            mend="compose the file from a preset with `make repro`",
        )
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
        valid = list(_section_at(location[:-1]).model_fields)
        return f"unknown key {dotted!r}{nearest(location[-1], valid)}"
    if problem["type"] == "missing":
        return f"key {dotted!r} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not dotted:
        return message
    if problem["type"] == "value_error":
        return f"{dotted}: {message}"
    return f"{dotted}: {message}, found {problem['input']!r}"


def _section_at(location: Iterable[str]) -> type[Section]:
    """The section class at a dotted location of the configuration."""
    section: type[Section] = Config
    for part in location:
        if part not in section.model_fields:
            continue  # the name of a round
        annotation = section.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, Section):
                section = candidate
    return section
