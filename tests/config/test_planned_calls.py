"""Network calls counted by hand from the settings of the smoke preset."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.composition import composed, of_latents
from helpers.planned_compute import planned_compute

from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of
from pipeline.config.planned_calls import PlannedCalls, planned_calls

# Steps times batch; pairs times steps of a solver of one call each; half of any_step's batch takes a step of its own.
TEACHER = PlannedCalls("teacher", "teacher", 60 * 32, 60 * 32)
ROUND1_PAIRS = PlannedCalls("couplings@round1", "teacher", 500 * 4)
ROUND1 = PlannedCalls("student@round1", "round1", 20 * 32, 20 * 32)
FEW_STEP = PlannedCalls("student@few_step", "few_step", 20 * (32 + 8), 20 * 32)
ROUND2_PAIRS = PlannedCalls("couplings@round2", "round1", 500 * 4)
ROUND2 = PlannedCalls("student@round2", "round2", 20 * 32, 20 * 32)
ALL = (TEACHER, ROUND1_PAIRS, ROUND1, FEW_STEP, ROUND2_PAIRS, ROUND2)


def config(change: Any = lambda _: None, *overrides: str) -> Config:
    params = composed("preset=smoke", *overrides)
    change(params)
    return Config.model_validate(params)


def of_stage(found: Config, stage: str) -> PlannedCalls:
    return next(item for item in planned_calls(found) if item.stage == stage)


def test_every_training_and_drawing_is_planned() -> None:
    assert {item.stage: item for item in planned_calls(config())} == {item.stage: item for item in ALL}


def test_a_total_has_every_stage_once_and_a_backward_pass_twice() -> None:
    stages = (TEACHER, ROUND1_PAIRS, ROUND1, FEW_STEP)
    assert set(stages_of(config(), "few_step")) == {item.stage for item in stages}
    assert planned_compute(config(), "few_step") == sum(item.forward + 2 * item.backward for item in stages)
    assert planned_compute(config(), "teacher") == 3 * 60 * 32


def test_a_pretrained_teacher_is_no_stage() -> None:
    found = config(lambda params: params["teacher"].update(pretrained="some/model"))
    assert "teacher" not in {item.stage for item in planned_calls(found)}
    assert planned_compute(found, "round1") == 500 * 4 + 3 * 20 * 32


@pytest.mark.parametrize("num_processes", [1, 2, 4])
def test_heldout_losses_are_measured_when_due_and_at_the_end_of_every_average(num_processes: int) -> None:
    def hold_out(params: dict[str, Any]) -> None:
        # Steps 8, 16 and 20; then both averages. 35 pairs are a batch of 32 and one of 3, filled up to 32.
        held = {"heldout_items": 35, "heldout_every_steps": 8, "ema_other_halflives_images": [100]}
        params["students"]["round1"] |= held
        params["students"]["few_step"] |= held

    rows = 2 * 32 * (3 + 2)
    launch = ["launch=multi_cpu", f"launch.num_processes={num_processes}"] if num_processes > 1 else []
    found = config(hold_out, *launch)
    assert of_stage(found, "student@round1") == PlannedCalls("student@round1", "round1", 640 + rows, 640)
    # Without gradients every row takes its own step first.
    assert of_stage(found, "student@few_step").forward == FEW_STEP.forward + 2 * rows


@pytest.mark.parametrize(
    ("source", "solver", "calls"),
    [
        # Heun's method takes two calls a step; a diffusion model's last step ends at the image, with one.
        ("teacher", {"name": "heun", "num_steps": 4}, 7),
        ("round1", {"name": "heun", "num_steps": 4}, 8),
        ("round1", {"name": "rk4", "num_steps": 4}, 16),
        # Dormand-Prince: two calls to find the first step's length, and a step has six new ones.
        ("round1", {"name": "dopri5", "rtol": 1e-3, "atol": 1e-3}, 8),
    ],
)
def test_a_pair_takes_the_calls_of_its_solver(source: str, solver: dict[str, Any], calls: int) -> None:
    name = "round1" if source == "teacher" else "round2"

    def solve(params: dict[str, Any]) -> None:
        params["couplings"][name] |= {"source": source, "solver": solver}

    expected = PlannedCalls(f"couplings@{name}", source, 500 * calls, is_least=solver["name"] == "dopri5")
    assert of_stage(config(solve), f"couplings@{name}") == expected


def test_pairs_made_from_images_take_the_calls_of_their_own_solver() -> None:
    def invert(params: dict[str, Any]) -> None:
        inversion = {"share": 0.4, "solver": {"name": "heun", "num_steps": 3}}
        params["couplings"]["round1"] |= {"num_pairs": 1000, "shard_pairs": 200, "image_to_noise": inversion}

    assert of_stage(config(invert), "couplings@round1").forward == 600 * 4 + 400 * 6


def test_a_student_that_follows_its_init_calls_that_network_as_well() -> None:
    def follow(params: dict[str, Any]) -> None:
        params["students"]["few_step"] |= {"init": "teacher", "method": {"name": "progressive", "num_steps": 4}}

    found = config(follow)
    of_stage = {item.model: item for item in planned_calls(found) if item.stage == "student@few_step"}
    # Salimans & Ho 2022, algorithm 2: two steps of the init, one prediction that learns from them.
    assert of_stage == {
        "few_step": PlannedCalls("student@few_step", "few_step", 20 * 32, 20 * 32),
        "teacher": PlannedCalls("student@few_step", "teacher", 20 * 32 * 2),
    }
    assert planned_compute(found, "few_step") == 3 * 60 * 32 + 500 * 4 + (3 + 2) * 20 * 32


def test_an_autoencoder_is_trained_by_one_call_an_image_and_is_in_the_total_of_each_model() -> None:
    found = Config.model_validate(of_latents(composed("preset=smoke")))
    assert of_stage(found, "autoencoder@data") == PlannedCalls("autoencoder@data", "autoencoder", 6 * 16, 6 * 16)
    assert planned_compute(found, "teacher") == 3 * 6 * 16 + 3 * 60 * 32
