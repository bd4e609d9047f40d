from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.config.solver import SolverConfig
from pipeline.models.networks import load_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
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
