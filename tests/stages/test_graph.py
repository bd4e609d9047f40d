from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from code_dependencies import GRAPH, ROOT, code_dependencies, has_no_effect, imported_files, is_code, stage_module

STAGES: dict[str, dict[str, Any]] = {
    name: stage.get("do", stage) for name, stage in yaml.safe_load(GRAPH.read_text())["stages"].items()
}

# They say how processes are started, which is part of every cmd that does so, and what is shown on the way.
SECTIONS_WITHOUT_EFFECT = {"launch", "watch"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_runs(name: str) -> None:
    stage = STAGES[name]
    found = sorted(dependency for dependency in stage["deps"] if is_code(dependency))
    assert found == code_dependencies(stage_module(stage["cmd"])), (
        f"the code dependencies of stage {name!r} in dvc.yaml are not what it imports; "
        "run `python tests/code_dependencies.py`, which rewrites them"
    )


def test_a_template_is_a_dependency_of_the_stage_that_reads_it_and_of_no_other() -> None:
    templates = [path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.html")]
    assert templates
    modules = {stage_module(stage["cmd"]) for stage in STAGES.values()}
    for template in templates:
        assert [module for module in modules if template in code_dependencies(module)] == ["report"]


def sections_read(path: Path) -> set[str]:
    """Sections of the configuration that a file reads as attributes of a ``config: Config``."""
    tree = ast.parse(path.read_text())
    return {
        node.attr
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        and any(
            argument.arg == "config"
            and isinstance(argument.annotation, ast.Name)
            and argument.annotation.id == "Config"
            for argument in function.args.args
        )
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "config"
    }


def test_reading_a_section_is_seen() -> None:
    assert {"rounds", "distill", "compute"} <= sections_read(ROOT / "stages/train.py")


@pytest.mark.parametrize("module", sorted({stage_module(stage["cmd"]) for stage in STAGES.values()}))
def test_params_name_every_section_that_a_stage_reads(module: str) -> None:
    path = ROOT / f"stages/{module}.py"
    helpers = [item for item in imported_files(path) if item.parent.name == "stages" and not has_no_effect(item)]
    read = set().union(*(sections_read(item) for item in (path, *helpers))) - SECTIONS_WITHOUT_EFFECT
    named = {
        parameter.split(".")[0]
        for stage in STAGES.values()
        if stage_module(stage["cmd"]) == module
        for parameter in stage.get("params", [])
    }
    assert read - named == set()


@pytest.mark.parametrize("name", STAGES)
def test_exactly_the_stages_that_are_launched_expect_the_configured_process_count(name: str) -> None:
    command = STAGES[name]["cmd"]
    reads_launch = "launch" in sections_read(ROOT / f"stages/{stage_module(command)}.py")
    assert command.startswith("${launch.command} " if reads_launch else "${launch.python} ")


def test_training_waits_for_the_gate() -> None:
    for stage in STAGES.values():
        stores = [dep for dep in stage["deps"] if dep.startswith("couplings/") and dep.endswith("/store")]
        if stores and stage_module(stage["cmd"]) == "train":
            assert stores[0].replace("/store", "/gate.json") in stage["deps"]


def test_every_stage_is_checked_before_it_runs() -> None:
    first = {name for name, stage in STAGES.items() if all(is_code(dep) for dep in stage["deps"])}
    assert first == {"check"}


def test_the_library_never_imports_the_stages() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert [item for item in imported_files(path) if item.is_relative_to(ROOT / "stages")] == [], path


def test_no_stage_imports_the_main_of_another() -> None:
    runnable = {ROOT / f"stages/{stage_module(stage['cmd'])}.py" for stage in STAGES.values()}
    for path in (ROOT / "stages").glob("*.py"):
        assert runnable.isdisjoint(imported_files(path)), path


def test_every_package_is_installed() -> None:
    packages = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for root in ("pipeline", "stages")
        for path in (ROOT / root).rglob("__init__.py")
    }
    assert packages == set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
