"""Every command in README and docs: blocks of code are run, but for those marked as not to be run; all are checked."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import typer
import yaml
from dvc.cli import parse_args
from helpers.documented_commands import PAGES, blocks, calls, inline_commands
from helpers.feature_networks import save_untrained
from helpers.photographs import save_photographs
from helpers.project_folders import ROOT, commit, fresh_copy
from helpers.small_unet import small_unet
from PIL import Image

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.couplings.generation import generate_couplings
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.yaml_text import parse_yaml
from stages.commands.app import app
from stages.composition import compose

SHELL = [block for page in PAGES for block in blocks(page) if block.is_shell]
CALLS = sorted(
    {tuple(call) for block in SHELL for call in calls(block.text)}
    | {tuple(call) for page in PAGES for command in inline_commands(page) for call in calls(command)}
)
# Their options are their own affair.
OF_OTHERS = ("accelerate", "docker", "git", "source", "tensorboard", "torchrun")
PLACEHOLDER = re.compile(r"[A-Z]+|path-or-hub-id")


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_what_a_command_names_exists(words: tuple[str, ...]) -> None:
    program, *arguments = words
    if program == "straightflow":
        parse_own(arguments)
    elif program == "make":
        parse_make(arguments)
    elif program == "dvc":
        parse_dvc(arguments)
    elif program == "python":
        parse_python(arguments)
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert re.fullmatch(r"install -e \.\[(\w+)\]", " ".join(arguments)).group(1) in extras
    else:
        assert program in OF_OTHERS or os.access(ROOT / program, os.X_OK)


def parse_own(arguments: list[str]) -> None:
    """Has the command line itself take the arguments, without calling anything."""
    group = typer.main.get_command(app)
    if arguments[0].startswith("--"):
        assert arguments[0] in {"--help", *(option for item in group.params for option in item.opts)}
        return
    context = click.Context(group, info_name="straightflow")
    command = group.get_command(context, arguments[0])
    assert command is not None, f"no command {arguments[0]}"
    if len(arguments) == 1:  # in the text, a command's name alone
        return
    parsed = command.make_context(arguments[0], arguments[1:], parent=context)
    if arguments[0] == "compose":
        require_composes(parsed.params["preset"], parsed.params["set_"])


def parse_make(arguments: list[str]) -> None:
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    variables = dict(argument.split("=", 1) for argument in arguments[1:])
    assert arguments[0] in targets
    assert variables.keys() <= {"PRESET", "ARGS"}
    if arguments[0] == "test":
        words = variables.get("ARGS", "").split()
        assert all((ROOT / word).exists() for word in words if "/" in word)
        return
    words = variables.get("ARGS", "").split()
    assert words[::2] == ["-S"] * len(words[::2])
    require_composes(variables.get("PRESET", "digits"), words[1::2])


def require_composes(preset: str, settings: list[str] | tuple[str, ...]) -> None:
    """As ``straightflow compose`` does, with the configuration validated."""
    text = compose([f"preset={preset}", *settings], ROOT / "configs")
    parse_config(parse_yaml(text, origin=preset), origin=preset)


def parse_dvc(arguments: list[str]) -> None:
    parsed = parse_args(list(arguments))
    for target in getattr(parsed, "targets", None) or []:
        assert PLACEHOLDER.fullmatch(target) or target in stages()
    settings = getattr(parsed, "set_param", None) or []
    if settings:
        compose(settings, ROOT / "configs")


def stages() -> set[str]:
    """Names of the stages of the committed configuration."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    named = {"couplings": "couplings", "assess": "couplings", "student": "students", "flow": "flows"}
    found = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) - named.keys() - {"evaluate"}
    found |= {f"{stage}@{name}" for stage, section in named.items() for name in params[section]}
    return found | {f"evaluate@{name}" for name in params["evaluate"]["models"]}


def parse_python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        if arguments[1].endswith("…"):
            return
        found = importlib.util.find_spec(arguments[1])
        assert found is not None
        source = Path(found.origin).read_text("utf-8")
        assert all(f'"{word}"' in source for word in arguments[2:] if word.startswith("--"))
    elif arguments[0] == "-":
        assert arguments[1:] == ["<<END"]  # what follows is run
    elif arguments[0] == "-c":
        compile(arguments[1], "documented", "exec")
    else:
        assert (ROOT / arguments[0]).is_file()


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    """What trains, installs, or needs a whole run or machines that are not here cannot be run; no other is left out."""
    for block in SHELL:
        left_out = [
            call
            for call in calls(block.text)
            if call[0] == "make"
            or "-m stages." in " ".join(call)
            or call[:2] in (["straightflow", "publish"], ["straightflow", "demo"])
        ]
        assert bool(left_out) == (block.not_run is not None), f"{block.page}:{block.line}"
        done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with its committed results, a small model under the name of each and small couplings."""
    folder = tmp_path_factory.mktemp("documented")
    fresh_copy(folder)
    commit(folder)
    (folder / "notes").touch()
    commit(folder)  # HEAD~1
    config = parse_config(yaml.safe_load((folder / "params.yaml").read_text()), origin="params.yaml")
    make_models(folder, config)
    save_photographs(folder / "photographs", 200)
    for path in (folder / "photographs").iterdir():
        with Image.open(path) as photograph:
            photograph.resize((60, 40)).save(path.with_suffix(".jpg"))
        path.unlink()
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    for name, call in (("python", ""), ("straightflow", " -m stages.commands"), ("dvc", " -m dvc")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{call} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "activate").write_text(f"export PATH={programs}:$PATH\n")
    return folder


def make_models(folder: Path, config: Config) -> None:
    from pipeline.config.compute import ONE_PROCESS, ComputeConfig
    from pipeline.models.runtime import open_runtime

    for name in config.students:
        save_student(small_unet(), folder / "models" / name)
    save_untrained(folder / "models/classifier")
    runtime = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)
    small = {"source": "round1", "num_pairs": 20, "solver": {"name": "euler", "num_steps": 1}, "batch_size": 20}
    couplings = CouplingsConfig.model_validate(small | {"shard_pairs": 20, "dtype": "uint8", "seed": 1})
    sampler = load_sampler(folder / "models/round1", runtime)
    generate_couplings(sampler, couplings, folder / "runs", folder / "couplings/round1/store")


RUN = [block for block in SHELL if block.not_run is None]


@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in RUN))
def test_the_blocks_of_commands_of_a_page_run_one_after_the_other(page: str, project: Path) -> None:
    environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DVC_NO_ANALYTICS": "1", "GIT_PAGER": "cat"}
    for block in RUN:
        if block.page != page:
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail"],
            input=f"source .venv/bin/activate\n{block.text}",
            cwd=project,
            env=os.environ | environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{page}:{block.line}\n{done.stdout}{done.stderr}"
