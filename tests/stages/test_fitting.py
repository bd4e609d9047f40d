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
from pipeline.models.accepted_teacher import read_teacher
from pipeline.models.pretrained import save_teacher
from pipeline.system.errors import StraightflowError
from stages.check import main as check_stage
from stages.fitting import require_enough, require_fitting

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
    assert [(item.couplings.source, item.train.init) for item in of.rounds.values()] == [
        ("teacher", "teacher"),
        ("round1", "round1"),
    ]
    assert found(of) == found(of, teacher=10) == found(of, teacher=10, labels=0) == []


def test_a_flow_among_class_conditional_models_is_refused_by_name() -> None:
    flow = composed("preset=toy_smoke")["flows"]["flow"]
    content = composed("preset=smoke")
    content["flows"] = {"plain": flow | {"noise": {"mean": None, "std": 1.0}}}
    content["rounds"]["round1"]["train"]["init"] = "plain"
    of = parse_config(content, origin="test")
    assert found(of, teacher=None) == []
    # round1 is unconditional then, as the flow is, and so is what starts from it; the teacher's couplings have classes.
    assert (of.distill.couplings, of.distill.init) == ("round1", "round1")
    assert found(of, teacher=10) == ["rounds.round1.train.init", "distill.init"]
    content["distill"]["init"] = "teacher"
    assert found(parse_config(content, origin="test"), teacher=10) == ["rounds.round1.train.init"]


@pytest.mark.parametrize(
    ("classes", "labels", "refused"),
    [(None, 0, False), (None, 5, False), (3, None, False), (3, 3, False), (3, 2, False), (3, 4, True), (3, 0, True)],
)
def test_images_inverted_by_a_model_of_classes_need_its_labels(
    classes: int | None, labels: int | None, refused: bool
) -> None:
    content = composed("preset=smoke")
    content["rounds"]["round1"]["couplings"]["image_to_noise"] = TO_NOISE
    of = parse_config(content, origin="test")
    expected = ["rounds.round1.couplings.image_to_noise"] if refused else []
    assert found(of, teacher=classes, labels=labels) == expected


def test_the_levels_of_a_teacher_brought_along_are_read(tmp_path: Path) -> None:
    save_teacher(small_unet(), tmp_path / "teacher", DDPMScheduler(num_train_timesteps=10))
    teacher = read_teacher(tmp_path / "teacher")
    fits = (f"teacher.pretrained={tmp_path / 'teacher'}", "rounds.round1.couplings.solver.num_steps=10")
    require_fitting(config(*fits, "evaluate.num_steps=[10]"), [teacher], [])
    with pytest.raises(StraightflowError, match=r"evaluate\.teacher_solvers: 11 grid points.*at 10 levels"):
        require_fitting(config(*fits, "evaluate.num_steps=[11]"), [teacher], [])


def test_check_refuses_what_only_the_couplings_stage_would_tell(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path / "pictures", [f"{'abc'[index % 3]}/{index}.png" for index in range(80)])
    content = composed("preset=smoke", "data.source=folder", "data.location=pictures", "teacher.pretrained=theirs")
    content["rounds"]["round1"]["couplings"]["image_to_noise"] = TO_NOISE
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
