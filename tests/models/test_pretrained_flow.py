"""Flows as teachers: told by their scheduler, checked against the configuration, sampled by the solvers of flows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, FlowMatchEulerDiscreteScheduler
from helpers.composition import changed, composed
from helpers.small_unet import small_unet
from safetensors.torch import load_file

from pipeline.config.data import DataConfig
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.pretrained import Promised
from pipeline.config.solver import STUDENT_SOLVERS
from pipeline.config.teacher import TeacherConfig
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedModel
from pipeline.models.check import check_teacher
from pipeline.models.pretrained import adopt_pretrained, save_teacher, training_scheduler
from pipeline.models.student import is_saved_student, save_student
from pipeline.system.errors import StraightflowError
from stages.fitting import require_fitting

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
EULER = {"name": "euler", "num_steps": 4}


def config_of(folder: Path, process: str, **changes: object) -> Config:
    teacher = {"teacher.pretrained": str(folder), "teacher.pretrained_process": process}
    return parse_config(changed("smoke", teacher | changes), origin="test")


def check(folder: Path, process: str) -> list[AcceptedModel]:
    sections, told = composed(), []
    teacher = sections["teacher"] | {"pretrained": str(folder), "pretrained_process": process}
    found = check_teacher(
        TeacherConfig.model_validate(teacher), DataConfig.model_validate(sections["data"]), {}, tell=told.append
    )
    assert found["pretrained"] == str(folder)
    return told


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_flow_is_a_teacher_and_saved_as_students_are(whose: str, tmp_path: Path) -> None:
    folder, unet = tmp_path / whose, small_unet(num_class_embeds=3)
    if whose == "ours":
        save_student(unet, folder)
    else:
        DDPMPipeline(unet, FlowMatchEulerDiscreteScheduler(shift=3.0)).save_pretrained(folder)
    told = check(folder, "flow")
    assert told == [AcceptedFlow((1, 8, 8), 3)]
    # As many steps as one likes, as a flow has no levels of noise.
    many = {"couplings.round1.solver": EULER | {"num_steps": 5000}}
    require_fitting(config_of(folder, "flow", **many), told, [])
    adopt_pretrained(str(folder), (1, 8, 8), tmp_path / "teacher", promised=Promised("flow"))
    assert is_saved_student(tmp_path / "teacher")
    weights = load_file(tmp_path / "teacher" / WEIGHTS)
    assert all(torch.equal(weights[name], values) for name, values in unet.state_dict().items())


@pytest.mark.parametrize(("process", "other"), [("flow", "diffusion"), ("diffusion", "flow")])
def test_a_teacher_of_another_process_than_configured_is_told_by_its_scheduler(
    process: str, other: str, tmp_path: Path
) -> None:
    if process == "flow":
        save_student(small_unet(), tmp_path / "theirs")
    else:
        save_teacher(small_unet(), tmp_path / "theirs", training_scheduler())
    check(tmp_path / "theirs", process)
    said = []
    for meet in (
        lambda: check(tmp_path / "theirs", other),
        lambda: adopt_pretrained(str(tmp_path / "theirs"), (1, 8, 8), tmp_path / "teacher", promised=Promised(other)),
    ):
        with pytest.raises(StraightflowError, match=rf"pretrained_process: {other}(.|\n)*{process}") as refusal:
            meet()
        said.append(str(refusal.value))
    assert said[0] == said[1]
    assert not (tmp_path / "teacher").exists()


def test_a_flow_takes_the_solvers_of_flows(tmp_path: Path) -> None:
    config = config_of(tmp_path, "flow", **{"couplings.round1.solver": EULER})
    assert config.solvers_of("teacher") == STUDENT_SOLVERS
    assert {solver.name for solver, _ in config.cells_of("teacher")} <= set(STUDENT_SOLVERS)
    with pytest.raises(StraightflowError, match=r"couplings\.round1\.solver is 'unipc'.*takes one of euler"):
        config_of(tmp_path, "flow", **{"couplings.round1.solver": {"name": "unipc", "num_steps": 4}})
    with pytest.raises(StraightflowError, match=r"couplings\.round1\.solver is 'euler'.*takes one of unipc"):
        config_of(tmp_path, "diffusion", **{"couplings.round1.solver": EULER})


def test_nothing_pretrained_is_no_pretrained_flow() -> None:
    with pytest.raises(StraightflowError, match="to train a flow here, give flow its settings"):
        parse_config(changed("smoke", {"teacher.pretrained_process": "flow"}), origin="test")
