"""Couplings and students as a graph: references, cycles, names, and the student that a run is made for."""

from __future__ import annotations

import pytest
from helpers.composition import changed, composed

from pipeline.config.graph import Headline, headline_of
from pipeline.config.loading import parse_config
from pipeline.config.trainings import trainings
from pipeline.system.errors import StraightflowError

Changes = dict[str, object]


def test_any_number_of_students_learn_the_same_couplings_in_any_order() -> None:
    content = composed("preset=smoke")
    content["students"] = {"second": content["students"]["few_step"] | {"init": "round1"}, **content["students"]}
    config = parse_config(content, origin="test")
    assert config.models == ("teacher", "second", "round1", "few_step", "round2")
    assert [name for name, item in config.students.items() if item.couplings == "round1"] == [
        "second", "round1", "few_step",
    ]  # fmt: skip
    assert [item.key for item in trainings(config)] == [
        "teacher.train",
        *(f"students.{name}" for name in config.students),
    ]
    assert set(config.losses) == {f"students.{name}.loss" for name in config.students}


def test_the_headline_is_a_student_and_what_it_learned() -> None:
    assert headline_of(parse_config(changed("smoke", {}), origin="test")) == Headline("few_step", "round1")
    of_another = changed("smoke", {"headline": "round2"})
    assert headline_of(parse_config(of_another, origin="test")) == Headline("round2", "round2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"couplings.round1.source": "teachr"}, r"couplings\.round1\.source is 'teachr'.*did you mean 'teacher'"),
        ({"students.few_step.couplings": "raund1"}, r"students\.few_step\.couplings is 'raund1'.*mean 'round1'"),
        ({"students.few_step.couplings": "few_step"}, r"few_step\.couplings is 'few_step'.*known: round1, round2"),
        ({"students.few_step.init": "round7"}, r"students\.few_step\.init is 'round7'.*did you mean 'round2'"),
        ({"headline": "teacher"}, r"headline.* is 'teacher'.*known: round1, few_step, round2"),
        ({"headline": "fewstep"}, "did you mean 'few_step'"),
        ({"students": {}}, "students is empty; give at least one"),
        ({"couplings": {}}, r"students\.round1\.couplings is 'round1', which does not exist \(known: none\)"),
    ],
)
def test_a_reference_to_nothing_is_refused_by_its_key(changes: Changes, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        parse_config(changed("smoke", changes), origin="test")


def test_a_method_of_states_needs_couplings_that_keep_them() -> None:
    changes: Changes = {"students.few_step.method": {"name": "cmt"}}
    message = r"students\.few_step\.method cmt learns the states.*do not keep; set couplings\.round1\.states: true"
    with pytest.raises(StraightflowError, match=message):
        parse_config(changed("smoke", changes), origin="test")
    config = parse_config(changed("smoke", changes | {"couplings.round1.states": True}), origin="test")
    assert config.students["few_step"].method.needs_states


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": {"name": "dopri5", "rtol": 0.01, "atol": 0.01}}, "dopri5 chooses its own times"),
        ({"solver": {"name": "unipc", "num_steps": 1}}, "unipc takes one step"),
        ({"states": "perhaps"}, r"couplings\.round1\.states.*boolean"),
    ],
)
def test_states_that_couplings_cannot_keep_are_refused_by_key(changes: Changes, message: str) -> None:
    content = changed("smoke", {"couplings.round1.states": True})
    content["couplings"]["round1"] |= changes
    with pytest.raises(StraightflowError, match=message) as caught:
        parse_config(content, origin="test")
    assert "couplings.round1" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "cycle"),
    [
        ({"students.round1.init": "round1"}, ["students.round1"]),
        ({"students.round1.init": "few_step"}, ["students.round1", "students.few_step"]),
        ({"couplings.round1.source": "round1"}, ["couplings.round1", "students.round1"]),
        (
            {
                "couplings.round1.source": "round2",
                "couplings.round2.source": "few_step",
                **{f"students.{name}.init": "teacher" for name in ("round1", "round2", "few_step")},
            },
            ["couplings.round1", "students.round2", "couplings.round2", "students.few_step"],
        ),
    ],
)
def test_a_cycle_is_shown(changes: Changes, cycle: list[str]) -> None:
    with pytest.raises(StraightflowError) as error:
        parse_config(changed("smoke", changes), origin="test")
    # Each is made from the next one; it may start anywhere.
    turns = [[*cycle[at:], *cycle[:at], cycle[at]] for at in range(len(cycle))]
    told = [f"{' <- '.join(turn)} is a cycle: each is made from the one after it" for turn in turns]
    assert any(text in str(error.value) for text in told)


def chain(**num_steps: int) -> Changes:
    """Students of so many steps, each from the one before, the first from the teacher."""
    content = composed("preset=smoke")
    students, init = content["students"], "teacher"
    for name, count in num_steps.items():
        method = {"name": "progressive", "num_steps": count}
        students[name] = students["few_step"] | {"init": init, "method": method}
        init = name
    return content


def test_a_chain_halves_the_number_of_steps_each_time() -> None:
    config = parse_config(chain(p8=8, p4=4, p2=2, p1=1), origin="test")
    assert [config.students[f"p{count}"].method.exact_steps for count in (8, 4, 2, 1)] == [8, 4, 2, 1]


def test_a_model_that_is_followed_has_the_noise_of_the_couplings() -> None:
    content = composed("preset=toy_smoke")
    student = content["students"]["few_step"] | {"method": {"name": "consistency"}}
    source = content["couplings"][student["couplings"]]["source"]
    # Of couplings of the same source: followed directly, or as its student.
    for init in (source, next(name for name, item in content["students"].items() if item["init"] == source)):
        content["students"]["few_step"] = student | {"init": init}
        parse_config(content, origin="test")
    content["flows"]["other"] = content["flows"]["flow"] | {"noise": {"mean": None, "std": 2.5}}
    content["students"]["few_step"] = student | {"init": "other"}
    with pytest.raises(
        StraightflowError,
        match=r"few_step\.method consistency follows init 'other', whose noise is not that of couplings '\w+'; give an",
    ):
        parse_config(content, origin="test")
    content["couplings"][student["couplings"]]["source"] = "few_step"
    with pytest.raises(StraightflowError, match="is a cycle"):
        parse_config(content, origin="test")


def test_a_model_that_is_followed_leads_to_the_images_of_the_couplings() -> None:
    content = changed("smoke", {"teacher.label_dropout": 0.1, "data.source": "digits"})
    content["couplings"]["round1"]["solver"]["guidance"] = {"scale": 2.0}
    follows = {"method": {"name": "consistency"}, "couplings": "round1"}
    # round1 learned guided images, so that its own ODE leads to them.
    content["students"]["few_step"] |= follows | {"init": "round1"}
    parse_config(content, origin="test")
    content["students"]["few_step"] |= {"init": "teacher"}
    refused = r"few_step\.method consistency follows init 'teacher' without guidance.* couplings 'round1' are guided"
    with pytest.raises(StraightflowError, match=refused):
        parse_config(content, origin="test")
    # Those of round 2 are a student's, and as guided as what it learned.
    content["students"]["few_step"] |= {"couplings": "round2"}
    with pytest.raises(StraightflowError, match=refused.replace("'round1' are", "'round2' are")):
        parse_config(content, origin="test")
    content["couplings"]["round1"]["solver"]["guidance"] = None
    parse_config(content, origin="test")


def test_averages_of_a_student_that_learns_from_itself_are_not_chosen_between_by_its_loss() -> None:
    changes = {"heldout_items": 16, "ema_other_halflives_images": [1000], "method": {"name": "any_step"}}
    settings = {f"students.few_step.{key}": value for key, value in changes.items()}
    parse_config(changed("smoke", settings), origin="test")
    settings["students.few_step.method"] = {"name": "consistency"}
    with pytest.raises(StraightflowError, match=r"ema_other_halflives_images are chosen between by the held-out loss"):
        parse_config(changed("smoke", settings), origin="test")


def test_a_student_that_asks_its_initial_model_at_all_times_needs_one_that_knows_them() -> None:
    content = chain(p8=8)
    students = content["students"]
    students["same"] = students["few_step"] | {"init": "few_step", "method": {"name": "consistency"}}
    parse_config(content, origin="test")
    students["same"]["init"] = "p8"
    with pytest.raises(
        StraightflowError,
        match=r"students\.same\.method consistency follows init at all times, but 'p8' is for exactly 8 steps; give an",
    ):
        parse_config(content, origin="test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            chain(p8=8, p2=2),
            r"students\.p2\.method\.num_steps is 2, whose half steps are 4, but init 'p8' is for exactly 8 steps; give "
            r"num_steps: 4, or an init of 4 steps",
        ),
        (chain(p3=3, p1=1), r"init 'p3' is for exactly 3 steps; give an init of 2 steps"),
    ],
)
def test_a_chain_that_skips_a_number_of_steps_is_told_the_right_one(content: Changes, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        parse_config(content, origin="test")


@pytest.mark.parametrize(
    ("section", "name", "message"),
    [
        ("students", "teacher", r"students\.teacher: .*a reserved name"),
        ("students", "Classifier", r"students\.Classifier: .*a reserved name"),
        ("students", "ROUND1", r"students\.ROUND1: .*the name of students\.round1"),
        ("students", "plain", r"students\.plain: .*the name of flows\.plain"),
        ("couplings", "Round2", r"couplings\.Round2: .*the name of couplings\.round2"),
    ],
)
def test_a_name_that_is_taken_is_refused(section: str, name: str, message: str) -> None:
    content = composed("preset=smoke")
    flow = composed("preset=toy_smoke")["flows"]["flow"]
    content["flows"] = {"plain": flow | {"noise": {"mean": None, "std": 1.0}}}
    parse_config(content, origin="test")
    content[section][name] = content[section]["round2"]
    with pytest.raises(StraightflowError, match=message):
        parse_config(content, origin="test")


def test_couplings_may_be_called_as_anything_under_models() -> None:
    content = composed("preset=smoke")
    for name in ("teacher", "classifier", "few_step"):
        content["couplings"][name] = content["couplings"]["round1"]
    assert len(parse_config(content, origin="test").couplings) == 5
