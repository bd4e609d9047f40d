"""What ``check`` says once it knows the data and the teacher, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from diffusers import DDPMScheduler
from helpers.composition import composed
from helpers.pictures import save_pictures
from helpers.small_unet import small_unet

from pipeline.config.feasibility import class_problems
from pipeline.config.graph import Config
from pipeline.config.loading import load_config, parse_config
from pipeline.data.check import DataFacts
from pipeline.models.opening import read_model
from pipeline.models.pretrained import save_teacher
from pipeline.system.errors import StraightflowError
from stages.check import main as check_stage
from stages.fitting import require_enough, require_fitting, require_states_to_learn

TO_NOISE = {"share": 0.6, "solver": {"name": "ddim", "num_steps": 4}}


def config(*overrides: str, **sections: Any) -> Config:
    content = composed("preset=smoke", "data.source=folder", "data.location=pictures", *overrides)
    for name, changes in sections.items():
        content[name] |= changes
    return parse_config(content, origin="test")


def found(of: Config, *, teacher: int | None = None, labels: int | None = None) -> list[str]:
    """The keys that problems of classes name."""
    return [problem.partition(" ")[0] for problem in class_problems(of, teacher, labels)]


# The preset's teacher.train and flows hold out none; 64 features, k = 3 of 200 samples.
@pytest.mark.parametrize(
    ("overrides", "enough", "too_few", "message"),
    [
        (("+teacher.train.heldout_items=20",), (1000, 20), (1000, 19), "heldout_items is 20, but .*holds out 19"),
        (
            ("+teacher.train.heldout_items=20", "+data.heldout_split=test"),
            (1000, 20),
            (1000, 19),
            "data.heldout_split has 19",
        ),
        ((), (64, 20), (63, 20), r"as many images as features \(64\).*found 63"),
        (("features.reference=heldout",), (1000, 64), (1000, 63), r"features \(64\).*found 63"),
        (("evaluate.neighbours.k=70",), (71, 20), (70, 20), "k is 70, but features.reference has 70 images"),
    ],
)
def test_data_that_are_too_few_for_the_settings_are_told(
    overrides: tuple[str, ...], enough: tuple[int, int], too_few: tuple[int, int], message: str
) -> None:
    of = config(*overrides)
    require_enough(of, [])
    require_enough(of, [DataFacts(None, None)])
    require_enough(of, [DataFacts(enough, 2)])
    with pytest.raises(StraightflowError, match=message):
        require_enough(of, [DataFacts(too_few, 2)])


def test_classes_follow_from_what_each_model_starts_from() -> None:
    of = config()
    assert {name: item.source for name, item in of.couplings.items()} == {"round1": "teacher", "round2": "round1"}
    assert {name: item.init for name, item in of.students.items()} == {
        "round1": "teacher",
        "few_step": "round1",
        "round2": "round1",
    }
    assert found(of) == found(of, teacher=10) == found(of, teacher=10, labels=0) == []


def test_a_flow_among_class_conditional_models_is_refused_by_name() -> None:
    flow = composed("preset=toy_smoke")["flows"]["flow"]
    content = composed("preset=smoke")
    content["flows"] = {"plain": flow | {"noise": {"mean": None, "std": 1.0}}}
    content["students"]["round1"]["init"] = "plain"
    of = parse_config(content, origin="test")
    assert found(of, teacher=None) == []
    # round1 is unconditional then, as the flow is, and so is what starts from it; the teacher's couplings have classes.
    few_step = of.students["few_step"]
    assert (few_step.couplings, few_step.init) == ("round1", "round1")
    assert found(of, teacher=10) == ["students.round1.init", "students.few_step.init"]
    content["students"]["few_step"]["init"] = "teacher"
    assert found(parse_config(content, origin="test"), teacher=10) == ["students.round1.init"]


@pytest.mark.parametrize(
    ("classes", "labels", "refused"),
    [(None, 0, False), (None, 5, False), (3, None, False), (3, 3, False), (3, 2, False), (3, 4, True), (3, 0, True)],
)
def test_images_inverted_by_a_model_of_classes_need_its_labels(
    classes: int | None, labels: int | None, refused: bool
) -> None:
    content = composed("preset=smoke")
    content["couplings"]["round1"]["image_to_noise"] = TO_NOISE
    of = parse_config(content, origin="test")
    expected = ["couplings.round1.image_to_noise"] if refused else []
    assert found(of, teacher=classes, labels=labels) == expected


def test_the_levels_of_a_teacher_brought_along_are_read(tmp_path: Path) -> None:
    save_teacher(small_unet(), tmp_path / "teacher", DDPMScheduler(num_train_timesteps=10))
    teacher = read_model(tmp_path / "teacher")
    fits = (f"teacher.pretrained={tmp_path / 'teacher'}", "couplings.round1.solver.num_steps=10")
    require_fitting(config(*fits, "evaluate.num_steps=[10]"), [teacher], [])
    with pytest.raises(StraightflowError, match=r"evaluate\.teacher_solvers: 11 grid points.*at 10 levels"):
        require_fitting(config(*fits, "evaluate.num_steps=[11]"), [teacher], [])


def of_states(**couplings: Any) -> Config:
    """Of the smoke preset, with few_step by cmt up to t = 0.9."""
    content = composed("preset=smoke")
    content["students"]["few_step"]["method"] = {"name": "cmt", "latest_time": 0.9}
    content["couplings"]["round1"] |= {"states": True} | couplings
    return parse_config(content, origin="test")


def test_states_that_a_student_learns_come_early_enough(tmp_path: Path) -> None:
    """Two quadratic steps are at the noisiest and the least noisy level (Song et al. 2021, app. D.2)."""
    late = {"solver": {"name": "unipc", "num_steps": 2, "grid": "quadratic"}}
    require_states_to_learn(of_states(), [])
    betas = DDPMScheduler().betas.double()
    alpha, sigma = float((1 - betas[0]).sqrt()), float(betas[0].sqrt())
    message = rf"few_step\.method cmt finds in couplings\.round1 no state.*first at t = {alpha / (alpha + sigma):.4g}"
    with pytest.raises(StraightflowError, match=message):
        require_states_to_learn(of_states(**late), [])
    # A teacher brought along has its own levels; the least noisy of these is at alpha² = 1/2, t = 1/2.
    save_teacher(small_unet(), tmp_path / "theirs", DDPMScheduler(beta_start=0.5, beta_end=0.6, num_train_timesteps=20))
    theirs = of_states(**late)
    theirs = theirs.model_copy(update={"teacher": theirs.teacher.model_copy(update={"pretrained": "theirs"})})
    require_states_to_learn(theirs, [read_model(tmp_path / "theirs")])
    require_states_to_learn(theirs, [])  # not known before it is fetched


def test_states_of_a_flow_come_early_enough() -> None:
    late = {"source": "round1", "solver": {"name": "euler", "num_steps": 2, "grid": (0, 0.95, 1)}, "states": True}
    content = composed("preset=smoke")
    content["couplings"]["round2"] |= late
    content["students"]["round2"]["method"] = {"name": "cmt", "latest_time": 0.9}
    with pytest.raises(StraightflowError, match=r"students\.round2\.method cmt .*the first at t = 0\.95"):
        require_states_to_learn(parse_config(content, origin="test"), [])


def test_check_refuses_what_only_the_couplings_stage_would_tell(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path / "pictures", [f"{'abc'[index % 3]}/{index}.png" for index in range(80)])
    content = composed("preset=smoke", "data.source=folder", "data.location=pictures", "teacher.pretrained=theirs")
    content["couplings"]["round1"]["image_to_noise"] = TO_NOISE
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    for classes in (3, 2):
        save_teacher(small_unet(num_class_embeds=classes), tmp_path / "theirs", DDPMScheduler())
        if classes == 3:
            check_stage(load_config(tmp_path / "params.yaml"), [])
        else:
            with pytest.raises(StraightflowError, match=r"image_to_noise inverts by 'teacher'.*the label 2"):
                check_stage(load_config(tmp_path / "params.yaml"), [])
    content["evaluate"]["neighbours"]["k"] = 72
    content["evaluate"]["neighbours"]["num_samples"] = 100
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(StraightflowError, match=r"k is 72, but features\.reference has 72 images"):
        check_stage(load_config(tmp_path / "params.yaml"), [])
