"""Whole trainings and samplings under torch.compile: the results of plain ones, in few graphs."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.composition import composed
from helpers.counting_compiler import CountingCompiler, breaks, compiled_by
from helpers.learnable_features import PixelFeatures
from helpers.method_settings import SETTINGS
from helpers.project_folders import launch
from helpers.small_training import Pairs, training_config
from helpers.small_unet import small_unet

from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.flow import LossConfig
from pipeline.config.loading import parse_config
from pipeline.config.methods import METHODS
from pipeline.config.solver import SolverConfig
from pipeline.evaluation.drawn_trajectories import draw_trajectories
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.methods.build import build_method
from pipeline.models.networks import starting_network
from pipeline.models.ode import ode_of
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.training.loop import train

ONE_LEVEL = {"block_out_channels": (8,), "down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
STATE_TIMES = (0.25, 0.5, 0.75)


class PairsAndStates(Pairs):
    """With states on the line between noise and image."""

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        pairs = super().load(indices)
        states = [(1 - t) * pairs["x_0"] + t * pairs["x_1"] for t in STATE_TIMES]
        return pairs | {"states": torch.stack(states, dim=1).half()}


def trained(name: str, runtime: Runtime, folder: Path) -> tuple[dict[str, torch.Tensor], float | None]:
    """Weights and last held-out loss of four steps by a method, with gradients clipped and averages kept."""
    config = METHODS[name].model_validate({"name": name} | SETTINGS[name])
    start = starting_network(small_unet(**ONE_LEVEL), two_times=config.two_times)
    companions: list[Sampler] = []
    if config.follows_init:
        save_student(start, folder / "init")
        companions.append(load_sampler(folder / "init", runtime))
    objective = build_method(
        config,  # type: ignore[arg-type]
        LossConfig(name="l2"),
        runtime.device,
        state_times=STATE_TIMES if config.needs_states else (),
        init=ode_of(companions[0]) if companions else None,
        features=PixelFeatures(np.zeros(64), np.eye(64)) if config.learns_features else None,
    )
    pairs = PairsAndStates() if config.needs_states else Pairs()
    settings = training_config(num_steps=4, heldout_items=20, heldout_every_steps=2)
    network = copy.deepcopy(start)
    result = train(
        network, pairs, objective, settings, runtime, folder / "run", name, heldout=pairs, companions=companions
    )
    return network.state_dict(), result.history[-1].heldout_loss


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("name", "aot"), [("reflow", False), *((name, True) for name in SETTINGS)])
def test_a_compiled_training_is_the_plain_one(name: str, aot: bool, runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain, plain_loss = trained(name, runtime, tmp_path / "plain")
    (tmp_path / "compiled").mkdir()
    with compiled_by(compiler := CountingCompiler(aot=aot)):
        found, loss = trained(name, dataclasses.replace(runtime, compile=True), tmp_path / "compiled")
        num_breaks = breaks()
    # Of the network one for its steps and one for held-out losses, and one more where a step calls it without a
    # gradient too, or generates further images; one of the model that it follows.
    config = METHODS[name].model_validate({"name": name} | SETTINGS[name])
    without = config.network_calls.forward > config.network_calls.backward
    assert compiler.graphs == 2 + without + config.learns_features + config.follows_init
    assert compiler.graphs - config.follows_init <= 3 + config.learns_features
    assert num_breaks == 0
    assert loss == pytest.approx(plain_loss, rel=1e-4)
    for key, values in plain.items():
        assert torch.allclose(values, found[key], rtol=1e-3, atol=1e-5), key


@pytest.mark.parametrize("solver", [SolverConfig(name="euler", num_steps=3), SolverConfig(name="heun", num_steps=2)])
def test_compiled_sampling_is_plain_sampling_in_one_graph(
    solver: SolverConfig, runtime: Runtime, tmp_path: Path
) -> None:
    save_student(small_unet(**ONE_LEVEL), tmp_path / "student")
    x_0 = Pairs().x_0[:6]
    plain = load_sampler(tmp_path / "student", runtime).sample(x_0, solver).x
    with compiled_by(compiler := CountingCompiler(aot=True)):
        sampler = load_sampler(tmp_path / "student", dataclasses.replace(runtime, compile=True))
        found = [sampler.sample(x_0, solver).x for _ in range(3)]
    assert compiler.graphs == 1
    for images in found:
        assert torch.allclose(images, plain, rtol=0, atol=1e-5)


def test_nothing_is_compiled_for_the_few_trajectories_that_are_measured_and_drawn(
    runtime: Runtime, tmp_path: Path
) -> None:
    save_student(small_unet(**ONE_LEVEL), tmp_path / "student")
    config = parse_config(composed("preset=smoke"), origin="smoke").evaluate
    drawn = DrawnTrajectories(along_ode=True, num_steps=(1,))

    def found(sampler: Sampler) -> tuple[float, np.ndarray]:
        images = [trajectory.states for trajectory in draw_trajectories(sampler, drawn, seed=0)]
        return measure_model_trajectories(sampler, config).transport_cost_per_dim, np.concatenate(images)

    cost, images = found(load_sampler(tmp_path / "student", runtime))
    with compiled_by(compiler := CountingCompiler()):
        sampler = load_sampler(tmp_path / "student", dataclasses.replace(runtime, compile=True))
        sampler.sample(Pairs().x_0[:6], SolverConfig(name="euler", num_steps=1))
        assert compiler.graphs == 1
        assert found(sampler)[0] == cost
        assert np.array_equal(found(sampler)[1], images)
        assert compiler.graphs == 1


def test_what_inductor_makes_for_this_machine_is_the_network(runtime: Runtime) -> None:
    network = small_unet(**ONE_LEVEL)
    x_t, t = Pairs().x_0[:2], torch.tensor([0.0, 500.0])
    expected = network(x_t, t).sample
    torch._dynamo.reset()
    compiled = dataclasses.replace(runtime, compile=True).place(copy.deepcopy(network))
    with torch.no_grad():
        assert torch.allclose(compiled(x_t, t).sample, expected, rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


@pytest.mark.usefixtures("one_thread")
def test_graphs_that_are_split_for_the_exchange_of_gradients_train_the_same_student(tmp_path: Path) -> None:
    """With bfloat16, channels last, gradient checkpointing and held-out losses, on two processes."""
    launch("compiled_worker.py", tmp_path, 2)
    found = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("plain", "compiled")]
    assert found[1]["graphs"] > found[1]["bound"]  # the optimizer of DDP split them
    assert found[1]["compilations"] <= found[1]["bound"]
    assert found[1]["heldout"] == pytest.approx(found[0]["heldout"], rel=2e-2)  # rounded to bfloat16 elsewhere
    assert found[1]["moved"] == pytest.approx(found[0]["moved"], rel=5e-2)
