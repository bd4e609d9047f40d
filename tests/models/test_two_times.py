"""Students of two times: made from networks of one, saved for stock diffusers, opened and sampled."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, FlowMapEulerDiscreteScheduler, UNet2DModel
from helpers.project_folders import ROOT
from helpers.small_unet import small_unet
from helpers.velocity_field import Field

from pipeline.config.evaluation import EvaluateConfig, StraightnessConfig
from pipeline.config.network import MLPConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.paths import per_sample
from pipeline.flow.solvers import flow_map_euler, uniform_grid
from pipeline.models.accepted_teacher import AcceptedFlow
from pipeline.models.flops import flops_per_sample
from pipeline.models.networks import build_network, load_network, starting_network
from pipeline.models.opening import read_model
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.sampling import sample_trajectories
from pipeline.models.student import (
    flow_map_scheduler,
    is_saved_student,
    predict_mean_velocity,
    predict_velocity,
    save_student,
)
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES


def flow_map(**changes: object) -> UNet2DModel:
    """A network of two times that heeds the second."""
    network = starting_network(small_unet(**changes), two_times=True)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.class_embedding.linear_2.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return network.eval()


def noise(count: int) -> torch.Tensor:
    return sample_noise(stream_key("selection", 0), range(count), (1, 8, 8))


@torch.no_grad()
def test_at_first_the_mean_velocity_is_the_velocity_of_the_start_whatever_the_end(tiny_unet) -> None:
    student = starting_network(tiny_unet, two_times=True)
    x, t = noise(3), torch.tensor([0.0, 0.3, 0.9])
    for end in (t, torch.tensor([0.1, 0.7, 1.0]), torch.ones(3)):
        assert torch.equal(predict_mean_velocity(student, x, t, end), predict_velocity(tiny_unet, x, t))


def test_the_embedding_of_the_end_is_that_of_the_start_with_zeros_at_its_end(tiny_unet) -> None:
    weights = starting_network(tiny_unet, two_times=True).state_dict()
    added = {name: value for name, value in weights.items() if name not in tiny_unet.state_dict()}
    first, last = "class_embedding.linear_1.", "class_embedding.linear_2."
    assert set(added) == {f"{layer}{part}" for layer in (first, last) for part in ("weight", "bias")}
    for part in ("weight", "bias"):
        assert torch.equal(added[first + part], weights[f"time_embedding.linear_1.{part}"])
        assert not added[last + part].any()


def test_a_network_of_two_times_stays_as_it_is() -> None:
    network = flow_map()
    assert starting_network(network, two_times=True) is network


def test_of_a_learned_variance_head_a_student_of_two_times_keeps_the_mean() -> None:
    student = starting_network(small_unet(3, out_channels=6), two_times=True)
    assert student.config["out_channels"] == 3


@pytest.mark.parametrize(
    ("start", "two_times", "message"),
    [
        (lambda: flow_map(), False, r"that a student of one time can start from\n.*takes two times(.|\n)*mean_flow"),
        (lambda: small_unet(num_class_embeds=3), True, r"class \(3 of them\) where it would take(.|\n)*any_step"),
        (
            lambda: build_network(MLPConfig(width=8, num_layers=1, fourier_octaves=0, longest_wavelength=1.0), (2,), 0),
            True,
            r"of points and takes one time(.|\n)*any_step",
        ),
    ],
)
def test_a_start_of_other_times_is_refused(start, two_times: bool, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        starting_network(start(), two_times=two_times)


def test_a_saved_one_is_opened_as_it_was(runtime, tmp_path: Path) -> None:
    network = flow_map()
    save_student(network, tmp_path / "student")
    assert is_saved_student(tmp_path / "student")
    assert isinstance(DDPMPipeline.from_pretrained(tmp_path / "student").scheduler, FlowMapEulerDiscreteScheduler)
    assert read_model(tmp_path / "student") == AcceptedFlow((1, 8, 8), None, two_times=True)
    x, t, end = noise(3), torch.tensor([0.0, 0.3, 0.9]), torch.tensor([0.5, 0.4, 1.0])
    with torch.no_grad():
        expected = -network(x, 1000 * (1 - t), 1000 * (1 - end)).sample
        sampler = load_sampler(tmp_path / "student", runtime)
        assert sampler.two_times
        assert torch.equal(sampler.mean_velocity(x, t, end), expected)
        assert torch.equal(sampler.velocity_field()(x, t), -network(x, 1000 * (1 - t), 1000 * (1 - t)).sample)


@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_the_loop_in_the_docs_equals_our_steps(num_steps: int, runtime, tmp_path: Path) -> None:
    save_student(flow_map(), tmp_path)
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    block = text.split("    unet = UNet2DModel.from_pretrained")[1].split("\n\n")[0]
    loop = textwrap.dedent(f"    unet = UNet2DModel.from_pretrained{block}")
    assert len(loop.splitlines()) == 6
    names = {
        "UNet2DModel": UNet2DModel, "FlowMapEulerDiscreteScheduler": FlowMapEulerDiscreteScheduler,
        "folder": tmp_path, "num_steps": num_steps, "x": noise(3),
    }  # fmt: skip
    with torch.no_grad():
        exec(loop, names)
    ours = load_sampler(tmp_path, runtime).sample(noise(3), SolverConfig(name="euler", num_steps=num_steps))
    assert ours.nfe == num_steps
    assert (ours.x - noise(3)).abs().max() > 0.1
    torch.testing.assert_close(ours.x, names["x"], atol=1e-6, rtol=1e-6)


def test_the_true_mean_velocity_leads_to_the_image_at_any_steps(runtime) -> None:
    """From N(0, 1) to N(0, s²), independent, the flow keeps x / sqrt((1 - t)² + t² s²)."""
    s, x_0 = 0.3, torch.randn(5, 4, generator=torch.Generator().manual_seed(0))

    def mean_velocity(_: Field, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        end = per_sample(1 - label / 1000, x)
        scale = (((1 - end) ** 2 + (end * s) ** 2) / ((1 - t) ** 2 + (t * s) ** 2)).sqrt()
        return (scale - 1) / (end - t) * x

    sampler = Sampler((4,), "exact", None, Field(mean_velocity), runtime, two_times=True)
    for solver in (
        SolverConfig(name="euler", num_steps=1),
        SolverConfig(name="euler", num_steps=4),
        SolverConfig(name="euler", num_steps=3, grid="cosine"),
        SolverConfig(name="euler", num_steps=2, grid=(0.0, 0.9, 1.0)),
    ):
        calls = sampler.calls.copy()
        solution = sampler.sample(x_0, solver)
        torch.testing.assert_close(solution.x, s * x_0)
        assert (solution.nfe, (sampler.calls - calls).forward) == (solver.num_steps, 5 * solver.steps)


def test_a_flow_map_is_called_with_both_times_of_each_step() -> None:
    asked = []

    def field(x: torch.Tensor, t: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        asked.append((t.tolist(), end.tolist()))
        return x

    solution = flow_map_euler(field, torch.ones(2, 1), uniform_grid(2))
    assert asked == [([0.0, 0.0], [0.5, 0.5]), ([0.5, 0.5], [1.0, 1.0])]
    assert (solution.x.tolist(), solution.nfe) == ([[2.25], [2.25]], 2)


def test_its_flops_have_the_second_embedding(tiny_unet) -> None:
    one, two = (
        flops_per_sample(network, (1, 8, 8), None, two_times=two_times)
        for network, two_times in ((tiny_unet, False), (flow_map(), True))
    )
    # An embedding of 8 features in 32 channels is two layers, 8 x 32 and 32 x 32; a product and a sum are 2 FLOPs.
    assert two.forward - one.forward == 2 * (8 * 32 + 32 * 32)


@pytest.mark.parametrize("name", ["heun", "midpoint", "rk4", "projection", "dopri5", "ddim"])
def test_solvers_of_one_time_are_refused(name: str, runtime, tmp_path: Path) -> None:
    save_student(flow_map(), tmp_path)
    sampler = load_sampler(tmp_path, runtime)
    times = {"rtol": 1e-3, "atol": 1e-3} if name == "dopri5" else {"num_steps": 2}
    with pytest.raises(StraightflowError, match=rf"one of euler on a grid.*a flow map(.|\n)*found: {name}"):
        sampler.sample(noise(1), SolverConfig(name=name, **times))


def test_images_are_not_inverted_by_a_flow_map(runtime, tmp_path: Path) -> None:
    save_student(flow_map(), tmp_path)
    with pytest.raises(StraightflowError, match="a model of one time to invert"):
        load_sampler(tmp_path, runtime).invert(noise(1), noise(1), SolverConfig(name="euler", num_steps=2))


def test_a_trajectory_goes_where_sampling_does(runtime, tmp_path: Path) -> None:
    save_student(flow_map(), tmp_path)
    sampler, solver = load_sampler(tmp_path, runtime), SolverConfig(name="euler", num_steps=3)
    states = sample_trajectories(sampler, solver, 5, 4)
    assert [t for t, _ in states] == list(uniform_grid(3))
    x_0, _ = sampler.draw(stream_key("evaluation", 5), range(4))
    assert np.array_equal(states[-1][1], to_uint8(sampler.sample(x_0, solver).x).numpy())
    with pytest.raises(StraightflowError, match="one of euler for a trajectory"):
        sample_trajectories(sampler, SolverConfig(name="heun", num_steps=3), 5, 4)


def test_straightness_is_that_of_steps_of_no_length(runtime) -> None:
    """With u = (1 + r - t) x_0 the velocity is x_0 throughout, which is straight; steps of some length are longer."""
    x_0 = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    network = Field(lambda _, x, t, label: (1 + per_sample(1 - label / 1000, x) - t) * torch.ones_like(x))
    sampler = Sampler((1, 2, 2), "exact", None, network, runtime, two_times=True)
    config = EvaluateConfig.model_construct(seed=5, straightness=StraightnessConfig(num_samples=6, num_steps=8))
    found = measure_model_trajectories(sampler, config)
    assert found.straightness == pytest.approx(0, abs=1e-6)
    assert found.transport_cost_per_dim == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(sampler.sample(x_0, SolverConfig(name="euler", num_steps=1)).x, x_0 + 2)


def test_a_second_time_that_the_scheduler_says_nothing_of_is_refused(tmp_path: Path) -> None:
    save_student(flow_map(), tmp_path)
    (tmp_path / HASHES).unlink()  # as in a folder from elsewhere
    scheduler = tmp_path / "scheduler/scheduler_config.json"
    content = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps(content | {"num_train_timesteps": 100}))
    with pytest.raises(StraightflowError, match="num_train_timesteps: 1000"):
        read_model(tmp_path)
    scheduler.write_text(json.dumps(content | {"_class_name": "FlowMatchEulerDiscreteScheduler"}))
    with pytest.raises(StraightflowError, match="scheduler FlowMapEulerDiscreteScheduler for a network of two times"):
        read_model(tmp_path)
    DDPMPipeline(unet=flow_map(), scheduler=DDPMScheduler()).save_pretrained(tmp_path / "teacher")
    with pytest.raises(StraightflowError, match="takes one time and perhaps a class"):
        read_model(tmp_path / "teacher")


def test_a_class_beside_the_second_time_is_refused(tmp_path: Path) -> None:
    save_student(flow_map(), tmp_path)
    (tmp_path / HASHES).unlink()
    file = tmp_path / "unet/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_class_embeds": 3}))
    with pytest.raises(StraightflowError, match="class_embed_type 'timestep' and num_class_embeds"):
        read_model(tmp_path)


def test_a_flow_of_one_time_may_have_the_exact_scheduler(tiny_unet, runtime, tmp_path: Path) -> None:
    DDPMPipeline(unet=tiny_unet, scheduler=flow_map_scheduler()).save_pretrained(tmp_path)
    sampler = load_sampler(tmp_path, runtime)
    assert not sampler.two_times
    solution = sampler.sample(noise(2), SolverConfig(name="heun", num_steps=1))
    assert solution.nfe == 2
    assert load_network(tmp_path).config["class_embed_type"] is None
