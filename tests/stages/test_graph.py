from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.project_folders import ROOT

from pipeline.config.graph import Config
from stages.code import STAGES, WITHOUT_EFFECT, code_of

GRAPH: dict[str, dict[str, Any]] = {
    name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}

# They say how processes are started, which is part of every cmd that does so, and what is shown on the way.
SECTIONS_WITHOUT_EFFECT = {"launch", "watch"}
# It is part of the path of a dependency, which the lock file sees.
SECTIONS_IN_PATHS = {"trained_on"}


def module_of(stage: dict[str, Any]) -> str:
    """The module under stages/ that a stage's command runs."""
    return str(stage["cmd"]).split(" -m stages.")[1].split()[0]


@pytest.mark.parametrize("name", [name for name in GRAPH if name != "check"])
def test_a_stage_depends_on_the_record_of_its_code_and_on_no_code_itself(name: str) -> None:
    found = [item for item in GRAPH[name]["deps"] if item.startswith(("pipeline", "stages", "inputs/code"))]
    assert found == [f"inputs/code/{module_of(GRAPH[name])}.json"]


def test_check_records_the_code_of_every_other_stage_and_runs_when_any_code_changes() -> None:
    assert {module_of(stage) for stage in GRAPH.values()} == {*STAGES, "check"}
    assert {"pipeline", "stages"} <= set(GRAPH["check"]["deps"])
    # A refused run must not delete what the stages before it were run with.
    assert {"inputs/code": {"persist": True, "cache": False}} in GRAPH["check"]["outs"]


def test_every_stage_comes_after_check() -> None:
    assert [name for name, stage in GRAPH.items() if set(stage["deps"]) <= {"pipeline", "stages"}] == ["check"]


def test_what_has_no_effect_is_there() -> None:
    own = [name for name in WITHOUT_EFFECT if "." in name]
    assert [name for name in own if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("pipeline.flow.losses", ["flow", "student", "teacher"]),
        ("pipeline.training.loop", ["autoencoder", "flow", "student", "teacher"]),
        ("pipeline.config.training", ["autoencoder", "flow", "student", "teacher"]),
        ("pipeline.data.latents", ["latents"]),
        ("pipeline.config.features", ["assess", "classifier", "evaluate", "reconstruction"]),
        ("pipeline.config.evaluation", ["assess", "evaluate", "reconstruction"]),
        ("pipeline.couplings.generation", ["couplings"]),
        ("pipeline.metrics.frechet", ["assess", "classifier", "evaluate", "reconstruction", "student"]),
        ("pipeline.report/page.css", ["report"]),
        ("stages.code", []),
        ("pipeline.training.watching", []),
        ("pipeline.training.measured_fid", []),
        ("pipeline.system.task_status", []),
    ],
)
def test_a_change_reaches_exactly_the_stages_that_use_it(module: str, stages: list[str]) -> None:
    assert [stage for stage in STAGES if module in code_of(stage)] == stages


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
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "config"
        and node.attr in Config.model_fields
    }


def test_reading_a_section_is_seen() -> None:
    assert {"students", "compute"} <= sections_read(ROOT / "stages/student.py")


@pytest.mark.parametrize("module", STAGES)
def test_params_name_every_section_that_a_stage_reads(module: str) -> None:
    reached = [name.replace(".", "/") for name in code_of(module) if name.startswith(("stages.", "pipeline."))]
    files = [ROOT / f"{name}.py" for name in reached]
    read = (
        set().union(*(sections_read(item) for item in files if item.is_file()))
        - SECTIONS_WITHOUT_EFFECT
        - SECTIONS_IN_PATHS
    )
    named = {
        parameter.split(".")[0]
        for stage in GRAPH.values()
        if module_of(stage) == module
        for parameter in stage.get("params", [])
    }
    assert read - named == set()


@pytest.mark.parametrize("name", GRAPH)
def test_exactly_the_stages_that_are_launched_expect_the_configured_process_count(name: str) -> None:
    reads_launch = "launch" in sections_read(ROOT / f"stages/{module_of(GRAPH[name])}.py")
    assert GRAPH[name]["cmd"].startswith("${launch.command} " if reads_launch else "${launch.python} ")


def test_a_student_depends_on_the_features_that_its_method_learns_and_on_no_others() -> None:
    assert "inputs/features/${item.method.name}" in GRAPH["student"]["deps"]
    assert {"inputs/features": {"cache": False}} in GRAPH["classifier"]["outs"]
    assert not {"models/classifier", "data/images"} & set(GRAPH["student"]["deps"])


def test_training_waits_for_the_gate() -> None:
    for stage in GRAPH.values():
        stores = [dep for dep in stage["deps"] if dep.startswith("couplings/") and dep.endswith("/store")]
        if stores and module_of(stage) == "student":
            assert stores[0].replace("/store", "/gate.json") in stage["deps"]
