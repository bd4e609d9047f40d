"""Forecasts at given speeds, with every number counted by hand from the settings of the smoke preset."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.composition import composed, of_latents

from pipeline.config.forecast import FRESH, NetworkSpeed, Speeds, StageTime, forecast, network_of, training_batches
from pipeline.config.graph import Config
from pipeline.config.model_names import TEACHER
from pipeline.config.planned_disk import couplings_bytes
from pipeline.config.planned_measuring import PlannedMeasuring, planned_measuring

# A sample forward takes 1 s, a call 8 s more, an image of a training step 5 s, its features 0.5 s.
SPEED = NetworkSpeed(call=8.0, forward=1.0, training={32: 5.0})
SPEEDS = Speeds(start=3.0, networks={TEACHER: SPEED}, features=0.5, features_training=7.0)


def config(change: Any = lambda _: None) -> Config:
    params = composed("preset=smoke")
    change(params)
    return Config.model_validate(params)


def stage(name: str, found: tuple[StageTime, ...]) -> StageTime:
    return next(item for item in found if item.stage == name)


def test_measuring_takes_the_calls_of_its_cells_and_of_its_trajectories() -> None:
    # Fifty trajectories of eight Euler steps: nine velocities there, eight back, five along half as many steps.
    trajectories = 50 * (9 + 8 + 5)
    # Drawn from eight noises: a teacher's ODE in 32 steps of two calls with nine estimates, a student's steps.
    along_ode, steps = 8 * (64 + 9), 8 * (1 + 2 + 4 + 8)
    found = {item.stage: item for item in planned_measuring(config())}
    # By two solvers at 1, 2 and 4 steps of 200 samples; 400 by the solver that made round1's pairs, in 4 steps.
    assert found["evaluate@teacher"] == PlannedMeasuring(
        "evaluate@teacher", "teacher", 2 * 200 * 7 + 400 * 4 + trajectories + along_ode, 6 * 200 + 400
    )
    # The headline's student has 400 samples at one step and at two.
    assert found["evaluate@few_step"] == PlannedMeasuring(
        "evaluate@few_step", "few_step", 400 * 3 + 200 * 4 + trajectories + steps, 2 * 400 + 200
    )
    # A student of reflow has both, and 400 samples where couplings were made by it; one of a single step has that one.
    assert found["evaluate@round1"].forward == 200 * 3 + 400 * 4 + trajectories + along_ode + steps
    assert found["evaluate@round2"].forward == 200 * 7 + trajectories + 8
    # 64 pairs are solved again; of 500 two whole chunks of 200 are measured.
    assert found["assess@round2"] == PlannedMeasuring("assess@round2", "round1", 64 * 4, 400)


def test_each_stage_takes_its_start_and_its_calls() -> None:
    found = forecast(config(), SPEEDS)
    assert [item.stage for item in found] == [
        "check", "data", "classifier", "teacher", "couplings@round1", "couplings@round2", "student@round1",
        "student@few_step", "student@round2", "assess@round1", "assess@round2", "evaluate@teacher", "evaluate@round1",
        "evaluate@few_step", "evaluate@round2", "report",
    ]  # fmt: skip
    assert stage("check", found) == StageTime("check", 3.0)
    assert stage("classifier", found) == StageTime("classifier", 3.0 + 100 * 7.0)
    assert stage("teacher", found) == StageTime("teacher", 3.0, 60 * 32 * 5.0)
    # 2,000 samples forward in calls of round1's batch of 1,000.
    assert stage("couplings@round1", found) == StageTime("couplings@round1", 3.0, 2000 * 1.0 + 2 * 8.0)
    # A quarter of the batch takes its own step first, in a call of 8 samples a step.
    assert stage("student@few_step", found) == StageTime("student@few_step", 3.0, 20 * (32 * 5.0 + 8 * 1.0 + 8.0))
    # 256 samples in calls of 250, and 400 images: by one process.
    assert stage("assess@round1", found) == StageTime("assess@round1", 3.0 + 256 * (1 + 8 / 250) + 400 * 0.5)


def test_processes_divide_what_they_compute_and_not_what_each_must_do() -> None:
    assert StageTime("teacher", 3.0, 100.0).seconds(4) == 3.0 + 25.0
    assert StageTime("teacher", 3.0, 100.0).seconds() == 103.0


def test_an_adaptive_solver_makes_a_forecast_a_least_one() -> None:
    solver = {"name": "dopri5", "rtol": 1e-3, "atol": 1e-3, "num_steps": None}
    found = forecast(config(lambda params: params["couplings"]["round1"].update(solver=solver)), SPEEDS)
    assert stage("couplings@round1", found).is_least
    assert not stage("couplings@round2", found).is_least


def test_a_flow_beside_a_pretrained_teacher_is_another_network() -> None:
    flow = composed("preset=toy_smoke")["flows"]["flow"]

    def adopt(params: dict[str, Any]) -> None:
        params["teacher"]["pretrained"] = "some/model"
        params["flows"] = {"flow": flow | {"batch_size": 16}}
        params["students"]["round2"]["init"] = "flow"

    adopted = config(adopt)
    assert [network_of(adopted, name) for name in ("teacher", "few_step", "flow", "round2")] == [
        TEACHER, TEACHER, FRESH, FRESH,
    ]  # fmt: skip
    assert {name: set(sizes) for name, sizes in training_batches(adopted).items()} == {TEACHER: {32}, FRESH: {16, 32}}
    speeds = Speeds(3.0, {TEACHER: SPEED, FRESH: NetworkSpeed(0.0, 0.0, {16: 1.0, 32: 1.0})}, 0.5, 7.0)
    found = forecast(adopted, speeds)
    assert stage("teacher", found) == StageTime("teacher", 3.0)  # it is only opened
    assert stage("flow@flow", found).divided == adopted.flows["flow"].num_steps * 16


@pytest.mark.parametrize(("dtype", "bytes_each"), [("uint8", 1), ("float16", 2), ("float32", 4)])
def test_couplings_take_their_images_and_the_noise_of_inverted_pairs(dtype: str, bytes_each: int) -> None:
    def invert(params: dict[str, Any]) -> None:
        inversion = {"share": 0.4, "solver": {"name": "heun", "num_steps": 3}}
        params["couplings"]["round1"] |= {"num_pairs": 1000, "dtype": dtype, "image_to_noise": inversion}
        del params["couplings"]["round2"], params["students"]["round2"], params["gate"]["drift_allowed"]
        params["evaluate"]["models"] = ["teacher"]

    assert couplings_bytes(config(invert)) == 64 * (1000 * bytes_each + 400 * 2)


def test_kept_states_are_those_between_noise_and_image() -> None:
    # Two stores of 500 uint8 images of 64 pixels, of which one has the three states of four steps in float16.
    found = config(lambda params: params["couplings"]["round1"].update(states=True))
    assert couplings_bytes(found) == 64 * 500 * (1 + 1 + 3 * 2)


def test_a_run_on_latents_trains_its_autoencoder_encodes_the_data_and_decodes_what_it_measures() -> None:
    of = Config.model_validate(of_latents(composed("preset=smoke")))
    networks = {TEACHER: SPEED, "autoencoder": NetworkSpeed(0.0, 0.0, {16: 2.0})}
    found = forecast(of, Speeds(3.0, networks, 0.5, 7.0, decoding=0.25))
    assert [item.stage for item in found][:7] == [
        "check", "data", "classifier", "autoencoder@data", "latents@data", "reconstruction@data", "teacher",
    ]  # fmt: skip
    assert stage("autoencoder@data", found) == StageTime("autoencoder@data", 3.0, 6 * 16 * 2.0)
    # How many images there are is not known before the data are.
    assert stage("latents@data", found) == StageTime("latents@data", 3.0, is_least=True)
    # 256 samples in calls of 250, and 400 latents, decoded.
    assert stage("assess@round1", found) == StageTime("assess@round1", 3.0 + 256 * (1 + 8 / 250) + 400 * (0.5 + 0.25))
    assert training_batches(of)["autoencoder"].keys() == {16}

    brought = of_latents(composed("preset=smoke"), source="some/folder", network=None, train=None)
    found = forecast(Config.model_validate(brought), SPEEDS)
    assert stage("autoencoder@data", found) == StageTime("autoencoder@data", 3.0)  # it is only opened
