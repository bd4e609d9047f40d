"""A pretrained teacher of latents: what check and adoption refuse, in the same words."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler, DDPMPipeline, LDMPipeline
from helpers.composition import composed
from helpers.small_autoencoder import small_autoencoder, with_autoencoder
from helpers.small_unet import small_unet

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.data import DataConfig
from pipeline.config.pretrained import Promised
from pipeline.config.teacher import TeacherConfig
from pipeline.models.accepted_autoencoder import autoencoder_folder
from pipeline.models.check import check_teacher
from pipeline.models.export.student import open_student
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import load_sampler
from pipeline.models.saved_pipeline import is_saved_pipeline
from pipeline.models.student import is_saved_student, save_student
from pipeline.system.errors import StraightflowError

FITTING = {"source": "teacher", "latent_channels": 2, "downsampling": 2}
WRITE = "write autoencoder: {source: teacher, latent_channels: 2, downsampling: 2}"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    scheduler = DDIMScheduler(clip_sample=False)
    LDMPipeline(small_autoencoder(), small_unet(2, sample_size=4), scheduler).save_pretrained(folder)
    return folder


def found_by_both(folder: Path, autoencoder: Mapping[str, Any] | None, **data: Any) -> list[str]:
    """The messages of check and of adoption; empty where neither has one."""
    sections = composed()
    images = DataConfig.model_validate(sections["data"] | data)
    config = None if autoencoder is None else AutoencoderConfig.model_validate(autoencoder)
    settings = TeacherConfig.model_validate(sections["teacher"] | {"pretrained": str(folder)})
    shape = images.image_shape if config is None else config.latent_shape(images.image_shape)
    promised = Promised().of_latents(config, images.channels)
    messages = []
    for call in (
        lambda: check_teacher(settings, images, {}, autoencoder=config),
        lambda: adopt_pretrained(str(folder), shape, folder.parent / "adopted", promised=promised),
    ):
        try:
            call()
        except StraightflowError as error:
            messages.append(str(error))
    return messages


def test_a_teacher_with_its_autoencoder_is_adopted_whole(teacher: Path, runtime) -> None:
    assert found_by_both(teacher, FITTING) == []
    adopted = teacher.parent / "adopted"
    assert autoencoder_folder(adopted) == adopted / "vqvae"
    assert is_saved_pipeline(adopted)
    assert load_sampler(adopted, runtime).image_shape == (1, 8, 8)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        assert (adopted / "vqvae" / name).is_file()
    (adopted / "vqvae" / "notes.txt").write_text("mine")
    assert not is_saved_pipeline(adopted)


@pytest.mark.parametrize(
    ("autoencoder", "data", "parts"),
    [
        (None, {}, ("as autoencoder is null", "one of latents, by its AutoencoderKL", WRITE)),
        (FITTING | {"latent_channels": 4}, {}, ("4 latent channels", "2 latent channels", WRITE)),
        (FITTING | {"downsampling": 4}, {}, ("downsampling 4", "downsampling 2", WRITE)),
        (FITTING, {"channels": 3}, ("images of 3 channels", "set data.channels: 1")),
        (FITTING, {"resolution": 16}, ("a teacher of latents (channels, height, width) = (2, 8, 8)", "(2, 4, 4)")),
    ],
)
def test_an_autoencoder_that_does_not_fit_is_refused_in_one_message(
    autoencoder: dict[str, Any] | None, data: dict[str, Any], parts: tuple[str, ...], teacher: Path
) -> None:
    messages = found_by_both(teacher, autoencoder, **data)
    assert len(messages) == 2
    assert messages[0] == messages[1]
    assert all(part in messages[0] for part in parts), messages[0]


def test_a_teacher_without_the_configured_autoencoder_is_refused(teacher: Path) -> None:
    shutil.rmtree(teacher / "vqvae")
    messages = found_by_both(teacher, FITTING)
    assert len(messages) == 2
    assert messages[0] == messages[1]
    assert "none: it is no model of latents" in messages[0]


def test_a_student_of_latents_is_known_as_one_and_not_exported(tmp_path: Path) -> None:
    folder = tmp_path / "student"
    save_student(small_unet(2, sample_size=4), folder, with_autoencoder(tmp_path))
    assert is_saved_student(folder)
    with pytest.raises(StraightflowError, match="DiffusionPipeline"):
        open_student(folder, 1)


def test_pixels_are_saved_as_before(tmp_path: Path) -> None:
    save_student(small_unet(), tmp_path)
    assert not (tmp_path / "vqvae").exists()
    assert type(DDPMPipeline.from_pretrained(tmp_path)) is DDPMPipeline
