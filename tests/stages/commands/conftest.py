"""A project to call commands in."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.composition import composed


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the smoke preset in float32 as its configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed("preset=smoke", "compute.precision=fp32")))
    return tmp_path
