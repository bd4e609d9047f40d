"""Configurations with rounds and distill are refused with the same settings in today's layout."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helpers.composition import composed

from pipeline.config.loading import parse_config
from pipeline.config.older_layout import todays_layout
from pipeline.system.errors import StraightflowError

LOSS = {"name": "pseudo_huber", "c": 0.03}
TIMESTEPS = {"name": "u_shaped", "a": 4.0}


def older() -> dict[str, Any]:
    """The smoke preset as it would have been: round1 of the teacher, round2 of round1, one step distilled."""
    content = composed("preset=smoke")
    couplings, students = content.pop("couplings"), content.pop("students")
    del content["headline"]
    content["evaluate"]["models"] = ["teacher", "round1", "round2", "distilled"]
    loop = {key: value for key, value in students["few_step"].items() if key not in ("couplings", "init", "method")}
    train = loop | {"timesteps": TIMESTEPS, "weighting": "cosmap", "path": {"name": "linear"}}
    content["rounds"] = {
        "round1": {"couplings": couplings["round1"], "train": train | {"init": "teacher"}},
        "round2": {"couplings": couplings["round2"], "train": train | {"init": "round1"}},
    }
    content["distill"] = loop | {"couplings": "round1", "init": "round1"}
    return content


def advised(content: dict[str, Any]) -> dict[str, Any]:
    """The sections that the refusal of ``content`` says to write, read from its text."""
    with pytest.raises(StraightflowError) as error:
        parse_config(content, origin="params.yaml")
    assert "expected: the sections couplings, students and headline in params.yaml" in str(error.value)
    written = yaml.safe_load(error.value.mend.partition(":\n")[2])
    assert isinstance(written, dict)
    return written


def test_what_the_refusal_says_to_write_is_valid_and_means_the_same() -> None:
    content = older()
    before = {key: value for key, value in content.items() if key not in ("rounds", "distill")}
    config = parse_config(before | advised(content), origin="test")
    assert config.headline == "distilled"
    assert {name: item.source for name, item in config.couplings.items()} == {"round1": "teacher", "round2": "round1"}
    shown = {name: (item.couplings, item.init, item.method.name) for name, item in config.students.items()}
    assert shown == {
        "round1": ("round1", "teacher", "reflow"),
        "round2": ("round2", "round1", "reflow"),
        "distilled": ("round1", "round1", "fixed_steps"),
    }
    method = config.students["round2"].method.model_dump(exclude_none=True)
    assert method == {"name": "reflow", "timesteps": TIMESTEPS, "weighting": "cosmap", "path": {"name": "linear"}}
    assert config.students["distilled"].loss.model_dump() == LOSS


def test_a_preset_that_changes_another_is_told_its_own_lines() -> None:
    part = {"rounds": {"round1": {"couplings": {"num_pairs": 100}, "train": {"timesteps": TIMESTEPS}}}}
    assert advised(composed() | part) == {
        "couplings": {"round1": {"num_pairs": 100}},
        "students": {"round1": {"couplings": "round1", "method": {"name": "reflow", "timesteps": TIMESTEPS}}},
    }


def test_settings_that_stand_in_two_places_are_written_twice() -> None:
    content = older()
    content["rounds"]["round2"]["train"] = content["rounds"]["round1"]["train"]
    with pytest.raises(StraightflowError) as error:
        parse_config(content, origin="test")
    assert "&" not in error.value.mend
    assert "*" not in error.value.mend


@pytest.mark.parametrize("section", ["rounds", "distill"])
@pytest.mark.parametrize("value", [None, 3, [], "round1", {"round1": None}, {"round1": {"train": 4}}, {3: {}}])
def test_what_never_was_valid_is_refused_too(section: str, value: object) -> None:
    advised(composed() | {section: value})
    assert set(todays_layout({"rounds": value})) == {"couplings", "students"}
