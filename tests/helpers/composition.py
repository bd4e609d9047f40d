"""The configuration composed from overrides, as plain mappings."""

from __future__ import annotations

from typing import Any

import yaml

from helpers.project_folders import ROOT
from stages.composition import compose


def composed(*overrides: str) -> dict[str, Any]:
    content = yaml.safe_load(compose(overrides, ROOT / "configs"))
    assert isinstance(content, dict)
    return content
