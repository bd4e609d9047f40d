"""A diffusion teacher that predicts v instead of the noise, by its stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import DDIMPipeline
from helpers.composition import changed

import stages.teacher as stage
from pipeline.config.loading import parse_config
from pipeline.config.solver import SolverConfig
from pipeline.data.info import write_info
from pipeline.flow.noise import sample_noise
from pipeline.models.sampler import load_sampler
from pipeline.system.errors import StraightflowError
from stages import paths

GREY = 96
SMALL = {
    "teacher.unet": {
        "block_out_channels": [8], "layers_per_block": 1, "attention": [False], "norm_num_groups": 4,
        "attention_head_dim": 8, "dropout": 0.0,
    },
    "data.resolution": 4, "compute.precision": "fp32", "teacher.prediction_type": "v_prediction",
    "teacher.train.num_steps": 200, "teacher.train.batch_size": 32, "teacher.train.learning_rate": 4e-3,
    "teacher.train.warmup_steps": 20,
}  # fmt: skip


@pytest.mark.usefixtures("one_thread")
def test_a_teacher_learns_v_and_its_images_have_the_brightness_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.IMAGES.mkdir(parents=True)
    for split in ("train", "heldout"):
        np.save(paths.IMAGES / f"{split}_images.npy", np.full((32, 1, 4, 4), GREY, dtype=np.uint8))
    write_info(paths.IMAGES, {"fingerprint": "grey"})
    stage.main(parse_config(changed("smoke", SMALL), origin="test"), [])

    scheduler = json.loads((paths.model("teacher") / "scheduler/scheduler_config.json").read_text())
    assert scheduler["prediction_type"] == "v_prediction"
    images = load_sampler(paths.model("teacher"), runtime).sample(
        sample_noise(1, range(64), (1, 4, 4)), SolverConfig(name="ddim", num_steps=8)
    )
    assert float(images.x.mean()) == pytest.approx(2 * GREY / 255 - 1, abs=0.1)
    assert DDIMPipeline.from_pretrained(paths.model("teacher")).scheduler.config.prediction_type == "v_prediction"


def test_only_a_diffusion_model_that_is_trained_here_is_told_what_to_predict() -> None:
    flow = {"timesteps": {"name": "uniform"}, "loss": {"name": "l2"}, "coupling": "independent"}
    for changes in ({"teacher.pretrained": "theirs"}, {"teacher.flow": flow}):
        with pytest.raises(StraightflowError, match="prediction_type is of a diffusion model trained here"):
            parse_config(changed("smoke", SMALL | changes), origin="test")
