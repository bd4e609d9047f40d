from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.composition import composed
from helpers.project_folders import ROOT
from omegaconf import OmegaConf

from pipeline.config.graph import learns_mean_velocity
from pipeline.config.loading import load_config, parse_config
from pipeline.system.errors import StraightflowError
from stages.composition import compose

PRESETS = sorted(path.stem for path in (ROOT / "configs/preset").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_parses_names_itself_and_states_its_command(preset: str) -> None:
    assert parse_config(composed(f"preset={preset}"), origin=preset).name == preset
    choice = "" if preset == "digits" else f" PRESET={preset}"
    assert re.search(f"^# Command: make repro{choice}( |$)", (ROOT / f"configs/preset/{preset}.yaml").read_text(), re.M)


def test_committed_params_are_the_composed_default() -> None:
    assert (ROOT / "params.yaml").read_text() == compose([], ROOT / "configs")
    load_config(ROOT / "params.yaml")


def test_a_third_round_is_the_three_lines_of_the_preset_that_are_a_comment(tmp_path: Path) -> None:
    lines = (ROOT / "configs/preset/digits.yaml").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.strip() == "# round3:")
    lines[start : start + 3] = [line.replace("# ", "", 1) for line in lines[start : start + 3]]
    (tmp_path / "preset.yaml").write_text("\n".join(lines))
    preset = OmegaConf.to_container(OmegaConf.load(tmp_path / "preset.yaml"), resolve=True)
    assert isinstance(preset, dict)
    content = composed()
    preset["evaluate"]["models"] += ["round3"]
    config = parse_config(content | preset, origin="preset.yaml")
    third, second = config.rounds["round3"], config.rounds["round2"]
    assert (third.couplings.source, third.train.init) == ("round2", "round2")
    assert third.couplings.batch_size == second.couplings.batch_size
    assert third.couplings.seed not in (second.couplings.seed, config.rounds["round1"].couplings.seed)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.resolutoin", 8, "unknown key 'data.resolutoin'.*did you mean 'resolution'"),
        ("rounds.round1.train.batchsize", 8, "did you mean 'batch_size'"),
        ("rounds.round1.couplings.source", "teachr", "did you mean 'teacher'"),
        ("rounds.round1.couplings.source", "round2", "cycle: round1 <- round2 <- round1"),
        ("rounds.round1.couplings.solver", {"name": "euler", "num_steps": 4}, "takes one of unipc, dpmpp_2m, ddim"),
        ("rounds.round1.couplings.solver", {"name": "heun", "num_steps": 4, "grid": "edm"}, "on its own grids"),
        ("rounds.round2.couplings.solver", {"name": "heun", "num_steps": 4, "grid": "quadratic"}, "on its own grids"),
        ("rounds.round2.couplings.solver", {"name": "euler", "num_steps": 4, "grid": "quadratic"}, "no quadratic"),
        ("distill.couplings", "round7", "distill.couplings is 'round7'"),
        ("evaluate.models", ["teacher", "raund1"], "did you mean 'round1'"),
        ("teacher.train.batch_size", 0, "teacher.train.batch_size.*greater than 0"),
        ("data.source", "parquet", "data.location must name"),
        ("data.subset", "plain", "data.subset must be null for source 'digits'"),
        ("data.heldout_split", "train", "nothing would be held out"),
        ("teacher.unet.norm_num_groups", 5, "must divide"),
    ],
)
def test_a_wrong_key_or_value_is_named(key: str, value: object, message: str) -> None:
    content = composed()
    *sections, last = key.split(".")
    section = content
    for name in sections:
        section = section[name]
    section[last] = value
    with pytest.raises(StraightflowError, match=message):
        parse_config(content, origin="params.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student_solvers": ["unipc"]}, "evaluate.student_solvers names 'unipc'"),
        ({"teacher_solvers": ["euler"]}, "evaluate.teacher_solvers names 'euler'"),
        ({"student_solvers": ["euler", {"name": "euler", "num_steps": [4]}]}, "none twice"),
        ({"student_solvers": [{"name": "dopri5"}]}, "takes rtol and atol"),
        ({"student_solvers": [{"name": "euler", "grid": [0, 0.5, 0.9]}]}, "rising from 0 to 1"),
        ({"neighbours": {"num_samples": 5, "k": 5}}, "must be more than k"),
    ],
)
def test_a_sweep_that_cannot_be_measured_is_refused(change: dict[str, Any], message: str) -> None:
    content = composed()
    content["evaluate"] |= change
    with pytest.raises(StraightflowError, match=message):
        parse_config(content, origin="test")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds.round1.couplings.dtype=uint8", r"rounds\.round1\.couplings\.dtype uint8"),
        ("distill.loss={name: lpips_huber, c: 0.1}", r"distill\.loss lpips_huber compares images"),
        (
            "+teacher.flow={coupling: independent, loss: {name: lpips_huber, c: 0.1}, "
            "timesteps: {name: uniform, a: null}}",
            r"teacher\.flow\.loss lpips_huber compares images",
        ),
        ("+rounds.round1.train.horizontal_flips=true", r"rounds\.round1\.train\.horizontal_flips mirrors images"),
        ("data.num_points=0", r"data\.num_points.*greater than 0"),
        ("data.resolution=8", "takes num_points, and null for resolution"),
        ("data.source=digits", "takes resolution and channels"),
        ("+distill.dropout=0.1", r"distill\.dropout is of residual blocks"),
        ("+rounds.round1.train.dropout=0.1", r"rounds\.round1\.train\.dropout is of residual blocks"),
        ("features.name=classifier", "features.name must be 'points'"),
        ("+flows.flow.noise={mean: [0.0, 1.0]}", r"flows\.flow\.noise\.mean has 2 entries"),
    ],
)
def test_what_does_not_fit_points_is_refused(override: str, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        parse_config(composed("preset=toy_smoke", override), origin="test")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("flows.flow.coupling=independent", True),
        ("flows.flow.coupling=minibatch_ot", False),
        ("+flows.flow.path={name: conditional_ot, sigma_min: 0.1}", False),
        ("flows.flow.loss={name: pseudo_huber, c: 0.1}", False),
    ],
)
def test_closed_forms_are_those_of_plain_flows_and_of_diffusion(override: str, expected: bool) -> None:
    config = parse_config(composed("preset=toy_smoke", override), origin="test")
    models = ("teacher", "flow", "round1", "distilled")
    assert [learns_mean_velocity(config, model) for model in models] == [True, expected, False, False]


def test_solvers_are_given_by_name_or_with_their_settings() -> None:
    content = composed()
    content["evaluate"] |= {
        "num_steps": [1, 2],
        "student_solvers": [
            "euler",
            {"name": "rk4", "num_steps": [3]},
            {"name": "heun", "grid": [0, 0.5, 1]},
            {"name": "dopri5", "rtol": 1e-4, "atol": 1e-5},
        ],
    }
    evaluate = parse_config(content, origin="test").evaluate
    solvers = evaluate.solvers(teacher=False)
    assert [(solver.label, solver.num_steps) for solver in solvers] == [
        ("euler", 1),
        ("euler", 2),
        ("rk4", 3),
        ("heun-given", 2),
        ("dopri5-0.0001", None),
    ]


def test_the_headlines_cells_have_more_samples_whether_others_are_measured_or_not() -> None:
    content = composed("preset=smoke")
    content["evaluate"] |= {"num_steps": [1, 2], "num_samples": 200, "student_solvers": ["euler", "heun"]}
    content["evaluate"]["headline"] = {"num_steps": [1, 4], "num_samples": 600}
    config = parse_config(content, origin="test")
    found = {model: {(s.label, s.num_steps): n for s, n in config.cells_of(model)} for model in config.models}
    few = {(name, steps): 200 for name in ("euler", "heun") for steps in (1, 2)}
    assert found[config.headline.student] == few | {("euler", 1): 600, ("euler", 4): 600}
    made_by = {item.couplings.source: item.couplings.solver for item in config.rounds.values()}
    ode = made_by["teacher"]
    assert found["teacher"][ode.label, ode.num_steps] == 600
    assert set(found["teacher"].values()) == {200, 600}
    content["evaluate"]["headline"]["num_samples"] = 300
    with pytest.raises(StraightflowError, match=r"headline\.num_samples is 300, no multiple"):
        parse_config(content, origin="test")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("evaluate.seed", True),
        ("teacher.train.num_steps", True),
        ("distill.learning_rate", True),
        ("distill.weight_decay", False),
        ("evaluate.num_steps", [True, 2]),
        ("data.channels", True),
    ],
)
def test_a_truth_value_is_no_number(key: str, value: object) -> None:
    content = composed("preset=smoke")
    *path, last = key.split(".")
    section = content
    for part in path:
        section = section[part]
    section[last] = value
    with pytest.raises(StraightflowError, match=rf"{key}: .*is a truth value"):
        parse_config(content, origin="test")


@pytest.mark.parametrize(
    "key", ["data.location", "teacher.pretrained", "features.inception.weights", "features.dinov2.weights"]
)
def test_a_path_with_a_zero_byte_is_refused(key: str) -> None:
    content = composed("preset=smoke")
    *path, last = key.split(".")
    section = content
    for part in path:
        section = section[part]
    section[last] = "a\0b"
    if key == "data.location":
        section["source"] = "folder"
    with pytest.raises(StraightflowError, match=key):
        parse_config(content, origin="test")
