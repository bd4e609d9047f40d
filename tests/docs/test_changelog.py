from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from helpers.project_folders import ROOT

from pipeline.couplings.manifest import VERSION, VERSION_WITH_STATES, read_manifest
from pipeline.system.errors import StraightflowError
from stages.commands.app import app

CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
NEWEST = CHANGELOG.split("\n## ")[1]


def test_its_newest_entry_is_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)  # semantic
    assert NEWEST.split()[0] == version


def test_it_names_every_command_and_the_manifest_of_today() -> None:
    named = re.findall(r"`(?:straightflow )?([a-z]+)`", CHANGELOG)
    assert {command.callback.__name__ for command in app.registered_commands if command.callback} <= set(named)
    assert f"`couplings/*/store/manifest.json`): version {VERSION}, or {VERSION_WITH_STATES} with states." in NEWEST


@pytest.mark.parametrize("version", [VERSION - 1, VERSION_WITH_STATES + 1, None])
def test_a_manifest_of_another_version_is_refused_by_both_numbers(version: int | None, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "straightflow-couplings", "version": version}))
    with pytest.raises(StraightflowError) as refused:
        read_manifest(tmp_path)
    assert f"version {VERSION} or {VERSION_WITH_STATES}" in refused.value.expected
    assert refused.value.found == f"version {version}"
