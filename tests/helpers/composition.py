"""The configuration composed from overrides, as plain mappings."""

from __future__ import annotations

import copy
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
