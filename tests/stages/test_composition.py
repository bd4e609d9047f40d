"""What presets compose to, against DVC's own composition, and the note that ``check`` makes of what differs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from helpers.project_folders import OF_THIS_PROJECT, ROOT, bare_project, call, commit, fresh_copy, run

from pipeline.system.errors import StraightflowError
from stages.composition import compose, differences, listing, note_on

CONFIGS = ROOT / "configs"


def project_that_copies_its_params(folder: Path) -> None:
    """The real configs/ and DVC settings, and a graph of one stage that takes no time."""
    stage = {"cmd": "cp params.yaml copy.yaml", "deps": ["params.yaml"], "outs": ["copy.yaml"]}
    bare_project(folder, {}, {"stages": {"copy": stage}})
    shutil.copytree(CONFIGS, folder / "configs")
    shutil.copy2(ROOT / ".dvc/config", folder / ".dvc/config")
    commit(folder)


def test_compose_gives_what_dvc_exp_run_writes_byte_for_byte(tmp_path: Path) -> None:
    project_that_copies_its_params(tmp_path)
    overrides = ["preset=toy_smoke", "launch=multi_cpu", "launch.num_processes=3", "flows.flow.learning_rate=1e-5"]
    run(tmp_path, "dvc", "exp", "run", *(word for override in overrides for word in ("-S", override)))
    assert (tmp_path / "copy.yaml").read_bytes() == compose(overrides, CONFIGS).encode()


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("preset=digitz", "preset 'digitz', which does not exist; did you mean 'digits'?"),
        ("preset=", "preset '', which does not exist"),
        ("launch=multigpu", "launch 'multigpu', which does not exist; did you mean 'multi_gpu'?"),
        ("data.sede=1", "key 'data.sede', which does not exist; did you mean 'seed'?"),
        ("teacher.label_dropout=0.1", "for a setting that the preset leaves out, write +teacher.label_dropout"),
        ("lunch=local", "key 'lunch', which does not exist; did you mean 'launch'?"),
        ("students.round1.loss={name: l2, k: 3}", "key 'students.round1.loss.k', which does not exist"),
        ("data.seed", "missing EQUAL"),
        ("data.seed=1,2", "Ambiguous value"),
        ("preset=null", "must be a string"),
        ("hydra.run.dir=elsewhere", "hydra.run.dir=elsewhere, which is one of Hydra"),
        ("++hydra.job.name=x", "one of Hydra"),
        ("+hydra.a.b=1", "one of Hydra"),
        ("hydra/launcher=basic", "one of Hydra"),
        ("hydra={run: {dir: x}}", "one of Hydra"),
        ("~hydra", "one of Hydra"),
        ("data.seed=${nothing}", "'nothing' not found"),
    ],
)
def test_what_does_not_compose_is_one_error_that_names_the_nearest(override: str, found: str) -> None:
    with pytest.raises(StraightflowError, match=re.escape(found)) as caught:
        compose([override], CONFIGS)
    assert "\n" not in caught.value.found


def test_a_preset_of_itself_is_told_in_one_line(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    preset = (tmp_path / "configs/preset/smoke.yaml").read_text().replace("- digits", "- mine")
    (tmp_path / "configs/preset/mine.yaml").write_text(preset)
    with pytest.raises(StraightflowError, match="defaults that go round in circles"):
        compose(["preset=mine"], tmp_path / "configs")


def test_a_preset_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "configs/preset/smoke.yaml").write_text("data: [")
    with pytest.raises(StraightflowError, match=r"smoke\.yaml.*line 1"):
        compose(["preset=smoke"], tmp_path / "configs")


def test_differences_are_named_by_key_in_the_order_of_the_second() -> None:
    before = {"b": {"seed": 0, "loss": {"name": "l2", "c": None}}, "flows": {}, "gone": [1]}
    after = {"flows": {"x": {"seed": 1}}, "b": {"loss": {"name": "l2", "c": 0.5}, "seed": 0}}
    assert [tuple(item) for item in differences(before, after)] == [
        ("flows.x", "absent", "{…}"),
        ("b.loss.c", "null", "0.5"),
        ("gone", "[1]", "absent"),
    ]
    assert differences(after, after) == []


def test_a_listing_ends_after_ten_with_a_count() -> None:
    assert listing("abcdefghij", "") == "abcdefghij"
    assert listing("abcdefghijklm", " ") == "a b c d e f g h i j and 3 more"


def write_params(folder: Path, *overrides: str) -> Path:
    (folder / "params.yaml").write_text(compose(overrides, CONFIGS))
    return folder / "params.yaml"


def test_params_as_composed_have_no_note_and_others_name_their_keys(tmp_path: Path) -> None:
    assert note_on(write_params(tmp_path, "preset=smoke"), CONFIGS) is None
    params = write_params(tmp_path, "preset=smoke", "data.seed=7")
    assert note_on(params, CONFIGS) == (
        f"{params} differs from preset smoke in data.seed (7, composed 0): `make repro PRESET=smoke` composes it anew"
    )


def test_a_note_says_why_nothing_could_be_compared(tmp_path: Path) -> None:
    params = write_params(tmp_path)
    absent = note_on(params, tmp_path / "configs")
    assert absent == f"{params} was not compared with preset digits: no file {tmp_path / 'configs/config.yaml'}"
    params.write_text(yaml.safe_dump(yaml.safe_load(params.read_text()) | {"name": "mine"}))
    assert (note_on(params, CONFIGS) or "").startswith(
        f"{params} was not compared with preset mine: preset 'mine', which does not exist"
    )


def test_an_edited_preset_is_noted_by_check_until_it_is_composed(tmp_path: Path) -> None:
    fresh_copy(tmp_path)
    preset = tmp_path / "configs/preset/digits.yaml"
    preset.write_text(preset.read_text().replace("num_pairs: 120000", "num_pairs: 50000"))
    done = call(tmp_path, "stages.check")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "note: params.yaml differs from preset digits in couplings.round1.num_pairs (120000, composed 50000): "
        "`make repro PRESET=digits` composes it anew\n"
    )
    run(tmp_path, "stages.commands", "compose")
    assert note_on(tmp_path / "params.yaml", tmp_path / "configs") is None
    shutil.rmtree(tmp_path / "configs")
    done = call(tmp_path, "stages.check")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: params.yaml was not compared with preset digits: no file ")


def test_comparing_loads_no_torch(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom stages.composition import note_on\n"
        f"assert note_on(Path({str(ROOT / 'params.yaml')!r}), Path({str(CONFIGS)!r})) is None\n"
        "assert 'torch' not in sys.modules\n"
    )
    run(tmp_path, "script", **OF_THIS_PROJECT)
