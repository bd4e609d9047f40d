"""``straightflow compose``: what it prints, what it keeps, and when it refuses."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.project_folders import OF_THIS_PROJECT, ROOT, bare_project, call, commit, run

from pipeline.system.errors import StraightflowError
from stages import composition
from stages.commands.compose import compose_params

COMMITTED = (ROOT / "params.yaml").read_text()
PARAMS = Path("params.yaml")
DIGITS = Path("configs/preset/digits.yaml")


def text_of(*overrides: str) -> str:
    return composition.compose(overrides, ROOT / "configs")


def copy_configuration(folder: Path) -> None:
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy2(ROOT / "params.yaml", folder / "params.yaml")


@pytest.fixture
def composing(tmp_path: Path, monkeypatch, capsys) -> Callable[..., str]:
    """Composes in a repository with the committed configuration, and returns what is printed."""
    copy_configuration(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)

    def composing(preset: str = "digits", *settings: str) -> str:
        compose_params(preset, list(settings))
        return capsys.readouterr().out

    return composing


def backups() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(Path().glob("params.yaml.*"))}


def test_a_preset_with_settings_is_written_and_its_changes_are_shown(composing: Callable[..., str]) -> None:
    printed = composing("smoke", "data.seed=3").splitlines()
    assert PARAMS.read_text() == text_of("preset=smoke", "data.seed=3")
    assert printed[:3] == [
        "params.yaml: composed from preset smoke",
        "  name: digits -> smoke",
        "  data.seed: 0 -> 3",
    ]
    assert len(printed) == 1 + 10 + 1
    assert printed[-1].startswith("  and ")
    assert composing("smoke") == "params.yaml: composed from preset smoke\n  data.seed: 3 -> 0\n"
    assert composing("smoke") == "params.yaml: preset smoke, unchanged\n"
    composing()
    assert PARAMS.read_text() == COMMITTED
    assert backups() == {}


def test_an_edited_preset_is_taken_again_and_again_without_a_backup(composing: Callable[..., str]) -> None:
    text = DIGITS.read_text()
    for before, after in (120000, 50000), (50000, 40000):
        DIGITS.write_text(text.replace("num_pairs: 120000", f"num_pairs: {after}"))
        assert f"couplings.round1.num_pairs: {before} -> {after}" in composing()
    assert backups() == {}


def test_every_file_that_a_person_edited_is_kept_once(composing: Callable[..., str]) -> None:
    edited = [COMMITTED.replace("seed: 0", "seed: 9", 1), "# a thought\n" + COMMITTED, "not: [yaml"]
    for number, text in enumerate(edited, start=1):
        name = "params.yaml.bak" + (str(number) if number > 1 else "")
        for _ in range(2):
            PARAMS.write_text(text)
            assert composing().endswith(f"it is kept as {name}\n")
            assert PARAMS.read_text() == COMMITTED
    assert list(backups().values()) == edited


def test_what_was_composed_elsewhere_is_kept_unless_its_preset_composes_to_it(composing: Callable[..., str]) -> None:
    PARAMS.write_text(text_of("preset=smoke"))
    composing()
    assert backups() == {}
    PARAMS.write_text(text_of("preset=smoke", "data.seed=5"))
    composing()
    assert backups() == {"params.yaml.bak": text_of("preset=smoke", "data.seed=5")}


def test_params_that_are_absent_are_written(composing: Callable[..., str]) -> None:
    PARAMS.unlink()
    composing()
    assert PARAMS.read_text() == COMMITTED
    assert backups() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digitz"], "did you mean 'digits'"),
        (["smoke", "data.sede=1"], "did you mean 'seed'"),
        (["smoke", "data.seed=-1"], r"data\.seed: Input should be greater than or equal to 0"),
        (["smoke", "+data.sede=1"], r"unknown key 'data\.sede', which does not exist; did you mean 'seed'"),
        (["smoke", "preset=digits"], "another preset is chosen by PRESET=, not by -S"),
        (["smoke", "~preset"], "key 'name' is missing"),
        (["smoke", "+rounds.round1.couplings.num_pairs=3"], r"couplings:\n *round1: \{num_pairs: 3\}"),
    ],
)
def test_what_cannot_run_is_refused_and_changes_nothing(
    composing: Callable[..., str], arguments: list[str], message: str
) -> None:
    with pytest.raises(StraightflowError, match=message):
        composing(*arguments)
    assert PARAMS.read_text() == COMMITTED


def test_a_preset_that_bears_the_name_of_another_is_refused(composing: Callable[..., str]) -> None:
    Path("configs/preset/mine.yaml").write_text("# @package _global_\ndefaults: [digits, _self_]\n")
    with pytest.raises(StraightflowError, match=r"write that line in configs/preset/mine\.yaml"):
        composing("mine")


def test_params_do_not_change_under_a_stage_that_reads_them(tmp_path: Path) -> None:
    command = ("stages.commands", "compose", "smoke")
    bare_project(tmp_path, {}, {"stages": {"train": {"cmd": f"python -m {' '.join(command)}", "params": ["data"]}}})
    copy_configuration(tmp_path)
    done = call(tmp_path, "dvc", "repro", **OF_THIS_PROJECT)
    assert done.returncode != 0
    assert "expected: no running stage while params.yaml changes" in done.stderr
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["name"] == "digits"
    assert run(tmp_path, *command, **OF_THIS_PROJECT).startswith("params.yaml: composed from preset smoke\n")
