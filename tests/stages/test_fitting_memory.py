"""What ``check`` says of a device's memory, at sizes of a device that are given."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from helpers.composition import composed, of_latents
from helpers.small_unet import small_unet

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.models.pretrained import save_teacher
from pipeline.system.device import DeviceMemory
from pipeline.system.errors import StraightflowError
from stages.fitting_memory import pretrained_network, require_memory_for, sampling_needs_by_key, training_needs_by_key

TRAINED_HERE = {"pretrained": None, "fingerprint": None}


def config(*overrides: str, **training: Any) -> Config:
    content = composed("preset=smoke", "compute.precision=fp32", "evaluate.batch_size=8", *overrides)
    for couplings in content["couplings"].values():
        couplings["batch_size"] = 8
    content["teacher"]["train"] |= {"batch_size": 64} | training
    return parse_config(content, origin="test")


def needs(of: Config, key: str) -> int:
    return next(needs.total_bytes for name, _, needs in training_needs_by_key(of, None) if name == key)


def test_a_step_that_cannot_fit_is_refused_with_the_micro_batches_that_do() -> None:
    of = config()
    whole = needs(of, "teacher.train")
    require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", whole))
    require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", None))
    quarter = needs(config(gradient_accumulation_steps=4), "teacher.train")
    message = r"step of teacher\.train: (.|\n)*at hand on a device(.|\n)*train\.gradient_accumulation_steps: {},"
    with pytest.raises(StraightflowError, match=message.format(2)):
        require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", whole - 1))
    with pytest.raises(StraightflowError, match=message.format(4)):
        require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", quarter))
    with pytest.raises(StraightflowError, match="no gradient_accumulation_steps are enough"):
        require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", 1000))


def test_the_proposed_micro_batches_divide_each_processs_share() -> None:
    """Of 60 images, 30 on each of two processes, thirds and fifths fit but no quarters."""
    of = config("launch=multi_cpu", "launch.num_processes=2", batch_size=60, optimizer="adamw")
    fifths = config(
        "launch=multi_cpu", "launch.num_processes=2", batch_size=60, optimizer="adamw", gradient_accumulation_steps=5
    )
    with pytest.raises(StraightflowError, match=r"gradient_accumulation_steps: 5,"):
        require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", needs(fifths, "teacher.train")))


def test_a_batch_of_samples_that_cannot_fit_is_refused_by_its_key() -> None:
    of = config("evaluate.batch_size=4096")
    found = dict(sampling_needs_by_key(of, None))
    assert found["evaluate"].total_bytes > found["couplings.round1"].total_bytes
    with pytest.raises(StraightflowError, match=r"batch of evaluate:(.|\n)*lower evaluate\.batch_size"):
        require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", found["evaluate"].total_bytes - 1))


def test_a_model_that_is_followed_and_a_perceptual_distance_count() -> None:
    content = composed("preset=smoke", "compute.precision=fp32")
    content["students"]["few_step"]["method"] = {"name": "progressive", "num_steps": 8}
    content["students"]["round2"]["loss"] = {"name": "lpips_huber", "c": 0.03}
    found = {key: needs for key, _, needs in training_needs_by_key(parse_config(content, origin="test"), None)}
    assert found["students.few_step"].companion_bytes == 4 * found["students.few_step"].num_parameters
    # VGG-16's thirteen convolutions (Simonyan & Zisserman 2015, configuration D), and what its first block keeps for
    # the gradient: of both images of a sample, two feature maps of 64 channels, before and after the activation.
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    weights = sum(9 * before * after + after for before, after in pairwise(widths))
    assert found["students.round2"].companion_bytes == 4 * weights
    first_block = 2 * 2 * 64 * 224**2 * 4
    extra = found["students.round2"].working_bytes - found["students.round1"].working_bytes
    assert extra > first_block * parse_config(content, origin="test").students["round2"].batch_size


def test_a_pretrained_teachers_network_is_counted_and_an_unknown_one_is_left_out(tmp_path: Path) -> None:
    save_teacher(small_unet(num_class_embeds=3), tmp_path / "theirs", DDPMScheduler())
    of = config(f"teacher.pretrained={tmp_path / 'theirs'}")
    teacher = {"pretrained": str(tmp_path / "theirs"), "fingerprint": "x"}
    network = pretrained_network(teacher)
    found = [(key, needs.num_parameters) for key, _, needs in training_needs_by_key(of, network)]
    count = sum(values.numel() for values in small_unet(num_class_embeds=3).parameters())
    assert found == [(f"students.{name}", count) for name in of.students]
    assert list(training_needs_by_key(of, None)) == []
    with pytest.raises(StraightflowError, match=re.escape("step of students.")):
        require_memory_for(of, teacher, DeviceMemory("a device", 1000))


def test_large_networks_are_counted_without_content_as_small_ones_are_with(monkeypatch: pytest.MonkeyPatch) -> None:
    of = config()
    with_content = needs(of, "teacher.train")
    monkeypatch.setattr("pipeline.training.planned_memory._SMALL", 0)
    assert needs(of, "teacher.train") == pytest.approx(with_content, rel=0.1)
    assert torch.zeros(1).item() == 0  # tensors have content again


def test_a_batch_of_the_autoencoder_that_cannot_fit_is_refused() -> None:
    """Of a decoder's last block, which is at the image's resolution, each convolution's result is kept."""
    content = of_latents(composed("preset=smoke", "compute.precision=fp32"))
    content["autoencoder"]["train"] |= {"batch_size": 4096, "optimizer": "adamw"}
    of = parse_config(content, origin="test")
    found = {key: item for key, _, item in training_needs_by_key(of, None)}
    assert found["autoencoder.train"].working_bytes > 4096 * 8 * 8**2 * 4 * 2
    others = max(item.total_bytes for key, item in found.items() if key != "autoencoder.train")
    assert others < found["autoencoder.train"].total_bytes
    require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", found["autoencoder.train"].total_bytes))
    with pytest.raises(StraightflowError, match=r"step of autoencoder\.train: (.|\n)*gradient_accumulation_steps: 2,"):
        require_memory_for(of, TRAINED_HERE, DeviceMemory("a device", found["autoencoder.train"].total_bytes - 1))


def test_the_autoencoder_is_counted_without_content_as_it_is_with(monkeypatch: pytest.MonkeyPatch) -> None:
    of = parse_config(of_latents(composed("preset=smoke", "compute.precision=fp32")), origin="test")
    with_content = needs(of, "autoencoder.train")
    monkeypatch.setattr("pipeline.training.planned_memory._SMALL", 0)
    assert needs(of, "autoencoder.train") == pytest.approx(with_content, rel=0.1)


def test_a_teacher_of_latents_needs_what_a_batch_of_latents_takes() -> None:
    """Latents of 2×4×4 are a quarter of the positions of an image of 8×8, at which activations are kept."""
    content = composed("preset=smoke", "compute.precision=fp32")
    pixels, latents = (parse_config(item, origin="test") for item in (content, of_latents(content)))
    assert needs(latents, "teacher.train") < needs(pixels, "teacher.train")
