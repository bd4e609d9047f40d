"""Checkpoints laid out as ``google/ddpm-cifar10-32`` is: all files in one folder, the keys of diffusers 0.0.4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel
from helpers.composition import composed
from safetensors.torch import save_file

from pipeline.config.data import DataConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.models.check import check_teacher
from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.models.networks import load_network
from pipeline.models.pretrained import adopt_pretrained

UNET = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.0.4",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [8, 16],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 4,
    "out_channels": 3,
    "sample_size": 16,
    "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_large",
}
# What diffusers called the parts of an attention block then, and calls them now.
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old_name(name: str) -> str:
    for new, old in OLD_NAMES.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_an_old_flat_checkpoint_is_a_teacher(tmp_path: Path, suffix: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DModel.from_config({key: value for key, value in UNET.items() if not key.startswith("_")}).eval()
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "config.json").write_text(json.dumps(UNET))
    (flat / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    (flat / "model_index.json").write_text(
        json.dumps({"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDPMScheduler"],
                    "unet": ["diffusers", "UNet2DModel"]})
    )  # fmt: skip
    weights = {old_name(name): value for name, value in unet.state_dict().items()}
    assert set(weights) != set(unet.state_dict())
    if suffix == "bin":
        torch.save(weights, flat / "diffusion_pytorch_model.bin")
    else:
        save_file(weights, flat / "diffusion_pytorch_model.safetensors")

    assert check_of(flat)["pretrained"] == str(flat)
    adopt_pretrained(str(flat), (3, 16, 16), tmp_path / "teacher")
    adopted = load_network(tmp_path / "teacher")
    x, t = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 900])
    with torch.no_grad():
        assert torch.equal(adopted(x, t).sample, unet(x, t).sample)
    schedule = read_scheduler_config(tmp_path / "teacher")
    assert (schedule["beta_end"], schedule["prediction_type"]) == (0.02, "epsilon")
    assert isinstance(DDPMPipeline.from_pretrained(tmp_path / "teacher"), DDPMPipeline)
    assert list((tmp_path / "teacher/unet").glob("*.bin")) == []


def check_of(folder: Path) -> dict[str, object]:
    sections = composed()
    teacher = TeacherConfig.model_validate(sections["teacher"] | {"pretrained": str(folder)})
    images = {"source": "hub", "location": "any", "channels": 3, "resolution": 16}
    return check_teacher(teacher, DataConfig.model_validate(sections["data"] | images), {})
