"""Which students are one recipe."""

from __future__ import annotations

from typing import Any

from helpers.composition import composed

from pipeline.config.graph import Config
from pipeline.config.seeds import recipes


def of(students: dict[str, dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Recipes of smoke's round1 with changes, under other names."""
    params = composed("preset=smoke")
    base = params["students"]["round1"]
    params["students"] = {name: base | changes for name, changes in students.items()}
    del params["couplings"]["round2"], params["gate"]["drift_allowed"]
    params["headline"] = next(iter(students))
    params["evaluate"]["models"] = ["teacher"]
    return recipes(Config.model_validate(params))


def test_students_that_differ_in_seeds_alone_are_one_recipe_named_by_the_numbered() -> None:
    students = {"few_step": {}, "a_1": {"seed": 5}, "a_2": {"seed": 6}, "b": {"num_steps": 30}}
    assert of(students) == {"a": ("few_step", "a_1", "a_2"), "b": ("b",)}


def test_starts_are_alike_if_they_are_of_one_recipe() -> None:
    chain = {"p8_1": {}, "p8_2": {"seed": 2}, "p4_1": {"init": "p8_1"}, "p4_2": {"init": "p8_2"}}
    assert of(chain) == {"p8": ("p8_1", "p8_2"), "p4": ("p4_1", "p4_2")}
    other = {"p8_1": {}, "p8_2": {"num_steps": 30}, "p4_1": {"init": "p8_1"}, "p4_2": {"init": "p8_2"}}
    assert set(of(other).values()) == {("p8_1",), ("p8_2",), ("p4_1",), ("p4_2",)}


def test_two_recipes_never_share_a_name() -> None:
    assert of({"a_1": {}, "a_2": {"num_steps": 30}}) == {"a": ("a_1",), "a_2": ("a_2",)}
