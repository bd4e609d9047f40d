"""The configuration composed from overrides, as plain mappings."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from helpers.project_folders import ROOT
from stages.composition import compose


def composed(*overrides: str) -> dict[str, Any]:
    """Fresh mappings, which a test may change."""
    return copy.deepcopy(composed_once(overrides))


@cache
def composed_once(overrides: tuple[str, ...]) -> dict[str, Any]:
    """Composing costs 0.1 s, and many tests start from the same configuration."""
    content = yaml.safe_load(compose(overrides, ROOT / "configs"))
    assert isinstance(content, dict)
    return content


def changed(preset: str, changes: Mapping[str, object]) -> dict[str, Any]:
    """A preset's settings with some of them, by dotted key, set to others."""
    content = composed(f"preset={preset}")
    for key, value in changes.items():
        *path, last = key.split(".")
        section = content
        for part in path:
            section = section[part]
        section[last] = value
    return content
