"""What all commands have in common."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from helpers.command_line import printed, straightflow
from helpers.project_folders import OF_THIS_PROJECT, ROOT, call
from typer.core import TyperGroup
from typer.main import get_command

import stages.check
from pipeline.system.errors import InterruptedRunError
from stages.commands.app import app

GROUP = get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMANDS = GROUP.commands


def example_in(help_text: str) -> list[str]:
    """The words of the example that a help text ends with."""
    *_, heading, example = help_text.splitlines()
    assert heading.strip() == "Example:"
    return shlex.split(example)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example_that_the_command_takes(name: str) -> None:
    program, called, *arguments = example_in(printed(name, "--help"))
    assert (program, called) == ("straightflow", name)
    COMMANDS[name].make_context(name, arguments)  # parses them, and calls nothing


def test_help_names_every_command_in_whole_sentences() -> None:
    text = printed("--help")
    assert example_in(text)[0] == "straightflow"
    lines = text[text.index("Commands:") : text.index("Example:")].strip().splitlines()[1:]
    assert [line.split()[0] for line in lines if line.strip()] == list(COMMANDS)
    assert "..." not in text[text.index("Commands:") :]


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert printed("--version") == f"straightflow {project['version']}\n"


def test_the_program_is_the_one_that_is_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in scripts.items():
        assert callable(EntryPoint(name, target, "console_scripts").load())


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, stages.commands.app; print(sorted({'torch', 'diffusers', 'matplotlib'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_process_ends_with_one_message_and_no_traceback(tmp_path: Path) -> None:
    done = call(tmp_path, "stages.commands", "show", **OF_THIS_PROJECT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error\nexpected: a composed configuration at params.yaml\n")
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.usefixtures("project")
def test_what_was_interrupted_says_that_it_goes_on(monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise InterruptedRunError("stopped at step 3")

    monkeypatch.setattr(stages.check, "main", interrupted)
    done = straightflow("check")
    assert (done.exit_code, done.stderr) == (75, "stopped at step 3; run the same command again to go on\n")


def test_check_is_the_stage_of_that_name(project: Path) -> None:
    assert printed("check") == "configuration: valid; images: digits; teacher: trained here\n"
    assert {path.name for path in (project / "inputs").iterdir()} == {"code", "data.json", "teacher.json"}
