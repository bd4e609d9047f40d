"""A student's method: told apart by its name, with its own parameters and no others."""

from __future__ import annotations

import pytest
from helpers.composition import composed

from pipeline.config.loading import parse_config
from pipeline.config.methods import AnyStepConfig, FixedStepsConfig, ReflowConfig
from pipeline.system.errors import StraightflowError

ANY_STEP = {"name": "any_step", "share_at_noise": 0.5, "latest_time": 0.95}


def test_each_method_is_read_as_its_own_section() -> None:
    students = parse_config(composed("preset=smoke"), origin="test").students
    kinds = {name: type(student.method) for name, student in students.items()}
    assert kinds == {"round1": ReflowConfig, "few_step": AnyStepConfig, "round2": FixedStepsConfig}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "fixed_steps", "timesteps": {"name": "uniform"}}, r"method: fixed_steps has a key 'timesteps'"),
        (
            ANY_STEP | {"timesteps": {"name": "uniform"}},
            r"few_step\.method: any_step has a key 'timesteps', which does",
        ),
        (ANY_STEP | {"path": {"name": "linear"}}, r"few_step\.method: any_step has a key 'path', which does not exist"),
        ({"name": "fixed_steps", "latest_time": 0.5}, r"few_step\.method: fixed_steps has a key 'latest_time'"),
        ({"name": "fixed_steps", "num_steps": 0}, r"students\.few_step\.method\.num_steps: .*greater than 0, found 0"),
        ({"name": "one_step"}, r"students\.few_step\.method: name 'one_step' is now 'fixed_steps'; write that"),
        ({"name": "reflow"}, r"key 'students\.few_step\.method\.timesteps' is missing"),
        (ANY_STEP | {"latest_time": 1.0}, r"students\.few_step\.method\.latest_time: .*less than 1, found 1\.0"),
        ({"name": "anystep"}, r"students\.few_step\.method: name 'anystep'.*did you mean 'any_step'"),
        ({"share_at_noise": 0.5}, r"students\.few_step\.method: .*give name: and one of reflow, fixed_steps, any_step"),
        ("any_step", r"students\.few_step\.method: 'any_step' is no mapping with a name"),
        (
            {"name": "reflow", "timesteps": {"name": "unifrm"}},
            r"students\.few_step\.method\.timesteps\.name: 'unifrm'.*mean 'uniform'",
        ),
        (
            {"name": "reflow", "timesteps": {"name": "u_shaped", "aa": 4}},
            r"unknown key 'students\.few_step\.method\.timesteps\.aa'.*\(known: name, a, mean, std, t\)",
        ),
    ],
)
def test_a_method_with_what_it_does_not_take_is_refused_by_key(method: object, message: str) -> None:
    content = composed("preset=smoke")
    content["students"]["few_step"]["method"] = method
    with pytest.raises(StraightflowError, match=message):
        parse_config(content, origin="test")


def test_a_parameter_of_a_method_beside_it_is_sent_into_it() -> None:
    content = composed("preset=smoke")
    content["students"]["round1"]["timesteps"] = {"name": "uniform"}
    with pytest.raises(
        StraightflowError, match=r"it belongs to the method reflow or consistency, as students\.round1\.method\."
    ):
        parse_config(content, origin="test")


def test_a_student_called_like_a_setting_is_named_in_messages() -> None:
    content = composed("preset=smoke")
    content["students"]["loss"] = content["students"]["few_step"] | {"num_stepz": 3}
    with pytest.raises(StraightflowError, match=r"'students\.loss\.num_stepz'.*did you mean 'num_steps'"):
        parse_config(content, origin="test")
