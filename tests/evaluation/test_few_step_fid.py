from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.sweep_setting import comparable, few_step_fid, reference, run_sweep

from pipeline.config.solver import SolverConfig
from pipeline.evaluation.few_step_fid import FewStepFid
from pipeline.flow.noise import stream_key
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError

TWO_STEPS = SolverConfig(name="euler", num_steps=2)


@pytest.fixture
def folder(tmp_path: Path, tiny_unet) -> Path:
    save_student(tiny_unet, tmp_path / "student")
    return tmp_path


@pytest.mark.usefixtures("one_thread")
def test_from_the_noise_of_evaluation_it_is_the_sweeps_fid(folder: Path, runtime) -> None:
    two_steps = comparable(run_sweep(folder, runtime))[1]
    assert (two_steps["num_steps"], two_steps["num_samples"]) == (2, 66)
    assert few_step_fid(folder, runtime) == pytest.approx(two_steps["fid"], rel=1e-6)


def test_other_noises_give_another_value_and_the_same_ones_the_same_in_batches_of_any_size(
    folder: Path, runtime
) -> None:
    sampler, real = load_sampler(folder / "student", runtime), reference(folder, runtime)
    first = FewStepFid(real, stream_key("training", 0), 20, 8)(sampler, TWO_STEPS)
    assert FewStepFid(real, stream_key("training", 0), 20, 3)(sampler, TWO_STEPS) == pytest.approx(first, rel=1e-4)
    other = FewStepFid(real, stream_key("evaluation", 0), 20, 8)(sampler, TWO_STEPS)
    assert abs(other / first - 1) > 1e-3


def test_images_that_are_not_finite_are_refused(folder: Path, runtime) -> None:
    sampler = load_sampler(folder / "student", runtime)
    with torch.no_grad():
        next(sampler.network.parameters()).fill_(torch.nan)
    fid_of = FewStepFid(reference(folder, runtime), stream_key("training", 0), 20, 8)
    with pytest.raises(StraightflowError, match="finite images"):
        fid_of(sampler, TWO_STEPS)
