from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_unet import small_unet

from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.sampling import sample_images
from pipeline.models.student import save_student
from pipeline.models.timed_image import draw_timed
from pipeline.system.errors import StraightflowError

SEED = 7


def test_a_student_draws_one_euler_step_for_the_class_that_is_asked_for(tmp_path: Path, runtime: Runtime) -> None:
    network = small_unet(num_class_embeds=3)
    save_student(network, tmp_path / "student")
    x_0 = sample_noise(stream_key("evaluation", SEED), [0], (1, 8, 8))
    for label in range(3):
        drawn = draw_timed(load_sampler(tmp_path / "student", runtime), 1, SEED, label)
        with torch.inference_mode():
            x_1 = x_0 - network(x_0, torch.tensor([1000.0]), torch.tensor([label])).sample
        assert np.array_equal(drawn.image, to_uint8(x_1)[0].numpy())
        assert (drawn.label, drawn.solver.label, drawn.solver.steps) == (label, "euler", 1)
        assert drawn.seconds > 0


def test_without_a_class_it_draws_the_first_of_the_images_of_that_seed(tmp_path: Path, runtime: Runtime) -> None:
    save_student(small_unet(num_class_embeds=3), tmp_path / "student")
    save_teacher(small_unet(), tmp_path / "teacher", training_scheduler())
    for name, solver in (("student", "euler"), ("teacher", "unipc")):
        sampler = load_sampler(tmp_path / name, runtime)
        first = next(iter(sample_images(sampler, SolverConfig(name=solver, num_steps=3), SEED, 1, 1)))[0]
        assert np.array_equal(draw_timed(sampler, 3, SEED).image, first)


def test_more_steps_than_levels_of_noise_are_refused(tmp_path: Path, runtime: Runtime) -> None:
    save_teacher(small_unet(), tmp_path / "teacher", training_scheduler())
    with pytest.raises(StraightflowError, match="levels of noise"):
        draw_timed(load_sampler(tmp_path / "teacher", runtime), 1001, 0)
