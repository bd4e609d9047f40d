from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode

from pipeline.config.evaluation import EvaluateConfig, StraightnessConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.noise import stream_key
from pipeline.models.networks import load_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.sampling import sample_trajectories
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("mid_block.resnets.0.conv1.weight"), "no tensor mid_block.resnets.0.conv1.weight"),
        (lambda weights: weights.update({"stranger.weight": torch.zeros(2)}), "a tensor stranger.weight"),
        (lambda weights: weights.update({"conv_in.weight": torch.zeros(12, 1, 3, 3)}), "conv_in.weight expected shape"),
    ],
)
def test_weights_of_another_architecture_are_refused_by_the_tensor_that_differs(
    tiny_unet, tmp_path: Path, change, message: str
) -> None:
    save_student(tiny_unet, tmp_path)
    (tmp_path / HASHES).unlink()  # as in a folder from elsewhere
    file = tmp_path / "unet/diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)
    with pytest.raises(StraightflowError, match=message):
        load_network(tmp_path)


class OnlyPinnedCopies(TorchFunctionMode):
    """Takes copies to a GPU, which is not there, from pinned memory alone: for others the host would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.pinned: list[torch.Tensor] = []
        self.copied: list[list[int]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.pin_memory:
            self.pinned.append(args[0].clone())
            return self.pinned[-1]
        if func is torch.Tensor.to and args[1:] == (torch.device("cuda"),):
            assert any(args[0] is values for values in self.pinned)
            assert kwargs == {"non_blocking": True}
            self.copied.append(args[0].tolist())
            return args[0]
        return func(*args, **kwargs or {})


def test_labels_of_a_batch_are_copied_while_the_host_goes_on(runtime) -> None:
    gpu = replace(runtime, accelerator=SimpleNamespace(device=torch.device("cuda")))
    sampler = Sampler((1, 4, 4), "0", None, NothingButBlack(), gpu, num_classes=3)
    with OnlyPinnedCopies() as copies:
        sampler.velocity_field(torch.tensor([2, 0, 1]))
    assert copies.copied == [[2, 0, 1]]


class NothingButBlack(torch.nn.Module):
    """A teacher of one image, x_1 = 0."""

    def forward(self, x: torch.Tensor, _time: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=torch.zeros_like(x))


@pytest.mark.parametrize(
    "schedule",
    [
        {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"_class_name": "DDIMScheduler", "beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    ],
)
def test_a_teachers_trajectories_start_where_its_sampling_does(schedule: dict, runtime) -> None:
    betas = np.linspace(schedule["beta_start"] ** 0.5, schedule["beta_end"] ** 0.5, 1000) ** 2
    if schedule["beta_schedule"] == "linear":
        betas = np.linspace(schedule["beta_start"], schedule["beta_end"], 1000)
    alphas = np.sqrt(np.cumprod(1 - betas))
    sigmas = np.sqrt(1 - alphas**2)
    first_t, last_t = (alphas[at] / (alphas[at] + sigmas[at]) for at in (-1, 0))
    start = 1 / (alphas[-1] + sigmas[-1])
    content = {"num_train_timesteps": 1000, "prediction_type": "sample", **schedule}
    teacher = Sampler((1, 4, 4), "0", read_noise_schedule(content), NothingButBlack(), runtime)
    noise, _ = teacher.draw(stream_key("evaluation", 5), range(6))
    assert torch.allclose(teacher.trajectory_start(noise), noise * start)
    # Towards the image 0 a state falls linearly, by Euler exactly: z_t = z (1 - t) / (1 - first_t).
    config = EvaluateConfig.model_construct(seed=5, straightness=StraightnessConfig(num_samples=6, num_steps=8))
    found = measure_model_trajectories(teacher, config)
    way = start * (last_t - first_t) / (1 - first_t)
    assert found.transport_cost_per_dim == pytest.approx(way**2 * float(noise.double().square().mean()), rel=1e-4)
    assert found.straightness == pytest.approx(0, abs=1e-4)
    states = sample_trajectories(teacher, SolverConfig(name="euler", num_steps=2), 5, 6)
    assert states[0][0] == pytest.approx(first_t)
    assert np.array_equal(states[0][1], to_uint8(noise * start).numpy())


def test_a_model_of_the_other_kind_than_configured_is_told_by_its_solver(tiny_unet, runtime, tmp_path: Path) -> None:
    save_student(tiny_unet, tmp_path / "flow")
    save_teacher(tiny_unet, tmp_path / "diffusion", training_scheduler())
    euler, ddim = SolverConfig(name="euler", num_steps=1), SolverConfig(name="ddim", num_steps=1)
    noise = torch.zeros(1, 1, 8, 8)
    for folder, fitting, other in (("flow", euler, ddim), ("diffusion", ddim, euler)):
        sampler = load_sampler(tmp_path / folder, runtime)
        assert sampler.sample(noise, fitting).nfe == 1
        for call in (lambda: sampler.sample(noise, other), lambda: sampler.invert(noise, noise, other)):  # noqa: B023
            with pytest.raises(StraightflowError, match=f"found: {other.name} on grid"):
                call()
