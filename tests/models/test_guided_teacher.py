"""A guided teacher from its configuration to its couplings: what is refused, what is counted, what is never drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.composition import changed, composed
from helpers.coupling_models import couplings
from helpers.small_unet import small_unet

from pipeline.config.data import DataConfig
from pipeline.config.loading import parse_config
from pipeline.config.pretrained import Promised
from pipeline.config.solver import SolverConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.couplings.coupling_run import open_run
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.network_calls import network_calls
from pipeline.couplings.recount import disagreements
from pipeline.couplings.store import CouplingStore
from pipeline.data.check import DataFacts
from pipeline.metrics.evaluations import possible_evaluations
from pipeline.models.check import check_teacher
from pipeline.models.kinds.kind import NULL_CLASS
from pipeline.models.opening import read_model
from pipeline.models.pretrained import adopt_pretrained, save_teacher, training_scheduler
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from stages.fitting import require_fitting
from stages.student import starting_student

SHAPE = (1, 8, 8)
UNIPC = {"name": "unipc", "num_steps": 4}
GUIDANCE = {"scale": 1.5}
GUIDED = SolverConfig.model_validate(UNIPC | {"guidance": GUIDANCE})
PRETRAINED = {"teacher.pretrained": "theirs", "teacher.null_class": 3}


def adopted(folder: Path, runtime: Runtime, null_class: int | None = 3, process: str = "diffusion") -> Sampler:
    unet = small_unet(num_class_embeds=4)
    if process == "flow":
        save_student(unet, folder / "theirs")
    else:
        save_teacher(unet, folder / "theirs", training_scheduler())
    promised = Promised(process, null_class)
    adopt_pretrained(str(folder / "theirs"), SHAPE, folder / "teacher", promised=promised)
    return load_sampler(folder / "teacher", runtime)


@pytest.mark.parametrize("process", ["diffusion", "flow"])
def test_guided_couplings_count_two_evaluations_and_never_ask_for_the_null_class(
    process: str, runtime, tmp_path: Path
) -> None:
    source = adopted(tmp_path, runtime, process=process)
    assert (source.num_classes, source.num_conditions, source.null_class) == (4, 3, 3)
    solver = GUIDED if process == "diffusion" else GUIDED.model_copy(update={"name": "euler"})
    config = couplings(source="teacher", solver=solver, dtype="float32")
    generate_couplings(source, config, tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    assert store.manifest.nfe_mean == 8
    assert source.calls.forward == 8 * len(store)
    labels = store.load(np.arange(len(store)))["labels"]
    assert set(labels.tolist()) == {0, 1, 2}
    assert not list(disagreements(store))

    # A student of theirs is not asked for it either, and stock diffusers passes the setting over.
    student = starting_student("student", tmp_path / "teacher", store, dropout=0.0)
    save_student(student, tmp_path / "student")
    sampler = load_sampler(tmp_path / "student", runtime)
    assert (sampler.num_classes, sampler.num_conditions) == (4, 3)


def test_guidance_makes_other_couplings(runtime, tmp_path: Path) -> None:
    source = adopted(tmp_path, runtime)
    solvers = [UNIPC, *(UNIPC | {"guidance": changes} for changes in (GUIDANCE, {"scale": 2.0}))]
    solvers.append(UNIPC | {"guidance": GUIDANCE | {"interval": (0.2, 0.8)}})
    folders = {open_run(source, couplings(solver=solver), tmp_path / "runs").unfinished.folder for solver in solvers}
    labels = {SolverConfig.model_validate(solver).label for solver in solvers}
    assert len(folders) == len(solvers)
    assert labels == {"unipc", "unipc-guided-1.5", "unipc-guided-2", "unipc-guided-1.5-0.2-0.8"}


def test_what_guided_solvers_can_take_is_known() -> None:
    part = SolverConfig.model_validate(UNIPC | {"guidance": GUIDANCE | {"interval": (0.2, 0.8)}})
    assert network_calls(GUIDED, to_noise=False) == (8, 8)
    assert network_calls(part, to_noise=False) == (4, 8)
    for solver in (GUIDED, part):
        assert possible_evaluations(solver.label, 4) == network_calls(solver, to_noise=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher.null_class": None}, r"couplings\.round1\.solver has guidance, .*: teacher\.null_class"),
        ({"couplings.round2.solver.guidance": GUIDANCE}, r"couplings\.round2\.solver has guidance, .*students learn"),
        ({"evaluate.student_solvers": [{"name": "euler", "guidance": GUIDANCE}]}, r"student_solvers has guidance"),
        ({"couplings.round1.solver.guidance": {"scale": 1}}, "scale 1 is the teacher alone"),
        ({"couplings.round1.solver.guidance": {"scale": -1}}, "scale"),
        ({"couplings.round1.solver.guidance": GUIDANCE | {"interval": [0.5, 0.5]}}, "must rise"),
        ({"couplings.round1.solver.guidance": GUIDANCE | {"interval": [0, 80]}}, "interval"),
        ({"teacher.pretrained": None}, "null_class is of a pretrained teacher"),
    ],
)
def test_guidance_of_what_cannot_be_guided_is_refused(changes: dict[str, object], message: str) -> None:
    guided = PRETRAINED | {"couplings.round1.solver.guidance": GUIDANCE}
    config = parse_config(changed("smoke", guided), origin="test")
    assert config.cells_of("teacher")[-1][0].guidance == config.couplings["round1"].solver.guidance
    with pytest.raises(StraightflowError, match=message):
        parse_config(changed("smoke", guided | changes), origin="test")


def test_the_teacher_is_evaluated_with_guidance_beside_none() -> None:
    solvers = ["unipc", UNIPC | {"num_steps": [4], "guidance": GUIDANCE}]
    config = parse_config(changed("smoke", PRETRAINED | {"evaluate.teacher_solvers": solvers}), origin="test")
    assert {"unipc", "unipc-guided-1.5"} <= {solver.label for solver, _ in config.cells_of("teacher")}


@pytest.mark.parametrize(("classes", "null_class"), [(None, 3), (4, 2), (4, 4)])
def test_a_null_class_that_the_teacher_does_not_have_is_refused(classes, null_class: int, tmp_path: Path) -> None:
    save_teacher(small_unet(num_class_embeds=classes), tmp_path / "theirs", training_scheduler())
    sections = composed()
    teacher = sections["teacher"] | {"pretrained": str(tmp_path / "theirs"), "null_class": null_class}
    data = DataConfig.model_validate(sections["data"])
    said = []
    for meet in (
        lambda: check_teacher(TeacherConfig.model_validate(teacher), data, {}),
        lambda: adopt_pretrained(
            str(tmp_path / "theirs"), SHAPE, tmp_path / "teacher", promised=Promised(null_class=null_class)
        ),
    ):
        with pytest.raises(StraightflowError, match=f"teacher.null_class: {null_class}, the last") as refusal:
            meet()
        said.append(str(refusal.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("value", [2, True, "3", [3]])
def test_a_null_class_in_the_file_that_is_not_the_last_is_refused(value: object, tmp_path: Path) -> None:
    save_teacher(small_unet(num_class_embeds=4), tmp_path / "theirs", training_scheduler())
    path = tmp_path / "theirs/unet/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {NULL_CLASS: value}))
    with pytest.raises(StraightflowError, match="the last of the network's 4 classes"):
        read_model(tmp_path / "theirs")


def test_a_model_without_a_null_class_is_not_guided(runtime, tmp_path: Path) -> None:
    source = adopted(tmp_path, runtime, null_class=None)
    assert source.num_conditions == 4
    noise, labels = source.draw(0, range(2))
    with pytest.raises(StraightflowError, match="found: no null class"):
        source.sample(noise, GUIDED, labels)
    assert torch.isfinite(source.sample(noise, SolverConfig.model_validate(UNIPC), labels).x).all()


def test_images_of_the_null_class_are_not_inverted(tmp_path: Path, runtime) -> None:
    adopted(tmp_path, runtime)
    content = changed("smoke", PRETRAINED)
    content["couplings"]["round1"]["image_to_noise"] = {"share": 0.2, "solver": UNIPC}
    config, teacher = parse_config(content, origin="test"), read_model(tmp_path / "teacher")
    require_fitting(config, [teacher], [DataFacts((80, 80), 3)])
    with pytest.raises(StraightflowError, match="its 3 classes, from 0, and the data has the label 3"):
        require_fitting(config, [teacher], [DataFacts((80, 80), 4)])
