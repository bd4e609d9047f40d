"""Names of ``params.yaml`` in the graph of ``dvc.yaml``: what they reach before any code of ours runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.project_folders import ROOT, bare_project, call

FOREACH = {
    name: stage for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"].items()
    if "foreach" in stage and stage["foreach"] != "${latents}"  # of one key, which is no name of the user's
}  # fmt: skip


def project(folder: Path, stage: str, name: str, interpreter: str) -> None:
    """A repository with one stage of dvc.yaml as it is, but for its inputs and how its command starts."""
    definition: dict[str, Any] = FOREACH[stage]["do"]
    kept = {key: value for key, value in definition.items() if key in ("cmd", "wdir", "outs")}
    graph = {"stages": {stage: {"foreach": FOREACH[stage]["foreach"], "do": kept}}}
    params: dict[str, Any] = {"launch": {"command": interpreter, "python": interpreter}}
    names: Any = [name] if stage == "evaluate" else {name: {"a": 1}}
    section, _, key = FOREACH[stage]["foreach"].strip("${}").partition(".")
    params[section] = {key: names} if key else names
    bare_project(folder, params, graph)
    module = folder / "stages" / f"{definition['cmd'].split(' -m stages.')[1].split()[0]}.py"
    module.parent.mkdir()
    module.write_text("import pathlib, sys\npathlib.Path('called_with').write_text(repr(sys.argv[1:]))\nsys.exit(2)\n")


@pytest.mark.parametrize("stage", FOREACH)
def test_a_name_is_in_no_command_and_one_part_of_every_path(stage: str) -> None:
    name = "${item}" if stage == "evaluate" else "${key}"
    definition = FOREACH[stage]["do"]
    assert definition["cmd"].endswith(' "$DVC_STAGE"')
    assert "${" not in definition["cmd"].replace("${launch.command}", "").replace("${launch.python}", "")
    assert definition["wdir"] == f"names/{name}/../.."


@pytest.mark.parametrize("stage", ["student", "evaluate"])
def test_no_shell_looks_into_a_name(stage: str, tmp_path: Path) -> None:
    name = "r'; touch \"made $(touch by_shell) `touch by_quote` #"
    project(tmp_path, stage, name, sys.executable)
    before = {path.name for path in tmp_path.iterdir()}
    call(tmp_path, "dvc", "repro", "-s", f"{stage}@{name}")
    assert (tmp_path / "called_with").read_text() == repr([f"{stage}@{name}"])
    assert {path.name for path in tmp_path.iterdir()} - before <= {"called_with", "models", "samples", ".gitignore"}


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("student", "../../victim"),
        ("student", ".."),
        ("student", "a/b"),
        ("student", "a/../../../victim"),
        ("evaluate", "../../victim"),
    ],
)
def test_no_name_leads_to_another_folder(stage: str, name: str, tmp_path: Path) -> None:
    project(tmp_path / "in/project", stage, name, sys.executable)
    victims = [tmp_path / place / "victim" for place in (".", "in", "in/project", "in/project/models/a/b")]
    for victim in victims:
        victim.mkdir(parents=True)
        (victim / "mine").write_text("mine")
    done = call(tmp_path / "in/project", "dvc", "repro", "-s")
    assert done.returncode != 0
    assert [(victim / "mine").read_text() for victim in victims] == ["mine"] * len(victims)
    assert not (tmp_path / "in/project/called_with").exists()
