"""Trainings of two times by one process and by two, and what they teach."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.project_folders import launch
from helpers.small_training import Pairs, training_config
from helpers.small_unet import ONE_LEVEL, small_unet
from helpers.two_times_worker import METHODS, work
from safetensors.torch import load_file

from pipeline.config.flow import LossConfig
from pipeline.config.methods import MeanFlowConfig, ShortcutConfig
from pipeline.config.solver import SolverConfig
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.methods.build import build_method
from pipeline.models.networks import starting_network
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.training.loop import train


@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_the_same_student_of_two_times(runtime: Runtime, tmp_path: Path) -> None:
    """Gradients are exchanged though each loss calls the network without gradients before.

    Losses, held-out losses and the FID of images drawn on the way are compared too. Keys' biases have gradients of
    rounding alone, as softmax undoes them.
    """
    start = starting_network(small_unet(**ONE_LEVEL), two_times=True)
    save_student(start, tmp_path / "student")
    work(tmp_path, runtime)
    launch("two_times_worker.py", tmp_path, 2)
    assert len(list(tmp_path.glob("finished-2-*"))) == 2
    for method in METHODS:
        rows = [json.loads((tmp_path / f"{method}-{count}.json").read_text()) for count in (1, 2)]
        assert rows[1][:-1] == [pytest.approx(row, rel=1e-5) for row in rows[0][:-1]]
        assert rows[1][-1] == pytest.approx(rows[0][-1], rel=1e-3)
        one, two = (load_file(tmp_path / f"{method}-{count}.safetensors") for count in (1, 2))
        before = start.state_dict()
        for name in [name for name in one if not name.endswith("to_k.bias")]:
            moved = (one[name] - before[name]).norm()
            assert (one[name] - two[name]).norm() < 1e-3 * moved, name
        assert (one["class_embedding.linear_2.weight"] != 0).any()


class Shrunk(Pairs):
    """Pairs of the linear map x_1 = 0.2 x_0, whose mean velocity is -0.8 x_0 for every step."""

    def __init__(self) -> None:
        super().__init__()
        self.x_0 = sample_noise(stream_key("couplings", 0), range(64), (1, 8, 8))
        self.x_1 = 0.2 * self.x_0

    def __len__(self) -> int:
        return 64


@pytest.mark.parametrize("method", [MeanFlowConfig(), ShortcutConfig()], ids=lambda method: method.name)
def test_a_trained_student_is_saved_and_lands_at_any_steps(
    method: MeanFlowConfig | ShortcutConfig, runtime: Runtime, tmp_path: Path
) -> None:
    network = starting_network(small_unet(**ONE_LEVEL), two_times=True)
    objective = build_method(method, LossConfig(name="l2"), runtime.device)
    config = training_config(
        num_steps=60, batch_size=16, learning_rate=2e-2, ema_halflife_images=200, heldout_items=64,
        log_every_steps=60, checkpoint_every_steps=1000,
    )  # fmt: skip
    result = train(network, Shrunk(), objective, config, runtime, tmp_path / "run", method.name, heldout=Shrunk())
    calls = method.network_calls
    # Without gradients every row takes the two further calls; held-out rows are measured at the end and of the average.
    assert result.compute.samples_backward == 60 * 16
    assert result.compute.samples_forward == 60 * 16 * calls.forward + 2 * 64 * 3
    assert np.isfinite(list(result.heldout_loss_by_halflife.values())).all()
    save_student(network, tmp_path / "student")
    sampler = load_sampler(tmp_path / "student", runtime)
    x_0 = sample_noise(stream_key("evaluation", 0), range(16), (1, 8, 8))
    for num_steps in (1, 2, 4):
        found = sampler.sample(x_0, SolverConfig(name="euler", num_steps=num_steps)).x
        assert torch.nn.functional.mse_loss(found, 0.2 * x_0) < 0.1 * 0.8**2, num_steps
