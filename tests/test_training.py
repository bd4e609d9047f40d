from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline.training as training
from pipeline.batches import BatchOrder
from pipeline.config import TrainingConfig
from pipeline.ema import Ema, ema_decay
from pipeline.errors import StraightflowError
from pipeline.losses import l2
from pipeline.objectives import VelocityRegression
from pipeline.timesteps import uniform


def config(**changes: object) -> TrainingConfig:
    values = {
        "num_steps": 12,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "lr_decay": "linear",
        "warmup_steps": 2,
        "weight_decay": 0.0,
        "gradient_clip_norm": 1.0,
        "ema_halflife_images": 50,
        "ema_rampup_ratio": 0.1,
        "log_every_steps": 4,
        "checkpoint_every_steps": 5,
        "seed": 0,
    }
    return TrainingConfig.model_validate(values | changes)


class Pairs:
    """Twenty fixed pairs."""

    def __init__(self, scale: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x_0 = torch.randn(20, 1, 8, 8, generator=generator)
        self.x_1 = scale * torch.randn(20, 1, 8, 8, generator=generator)

    def __len__(self) -> int:
        return 20

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        return {"x_0": self.x_0[indices], "x_1": self.x_1[indices]}


OBJECTIVE = VelocityRegression(uniform, l2)


class Killed(BaseException):
    pass


def test_a_run_killed_and_resumed_ends_with_the_same_weights(tiny_unet, runtime, tmp_path: Path, monkeypatch) -> None:
    whole, resumed = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    history = training.train(whole, Pairs(), OBJECTIVE, config(), runtime, tmp_path / "whole", "whole")

    original = training.learning_rate_at

    def dies_at_step_eight(step: int, settings: TrainingConfig) -> float:
        if step == 8:
            raise Killed
        return original(step, settings)

    with monkeypatch.context() as patch:
        patch.setattr(training, "learning_rate_at", dies_at_step_eight)
        with pytest.raises(Killed):
            training.train(resumed, Pairs(), OBJECTIVE, config(), runtime, tmp_path / "killed", "killed")
    runtime.accelerator._custom_objects.clear()
    runtime.accelerator.free_memory()
    resumed = copy.deepcopy(tiny_unet)
    again = training.train(resumed, Pairs(), OBJECTIVE, config(), runtime, tmp_path / "killed", "resumed")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [row[0] for row in history] == [4, 8, 12]
    assert again[-1][0] == 12


def test_training_lowers_the_loss(tiny_unet, runtime, tmp_path: Path) -> None:
    settings = config(num_steps=150, log_every_steps=50)
    history = training.train(tiny_unet, Pairs(), OBJECTIVE, settings, runtime, tmp_path, "fit")
    assert history[-1][1] < 0.8 * history[0][1]


def test_a_loss_that_is_not_finite_stops_the_run(tiny_unet, runtime, tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match="finite loss"):
        training.train(tiny_unet, Pairs(float("nan")), OBJECTIVE, config(), runtime, tmp_path, "nan")


def test_every_epoch_visits_each_sample_once() -> None:
    order = BatchOrder(seed=0, batch_size=8, num_items=20)
    visited = np.concatenate([order(step) for step in range(5)])
    for epoch in range(2):
        assert sorted(visited[20 * epoch : 20 * (epoch + 1)]) == list(range(20))
    assert np.array_equal(BatchOrder(seed=0, batch_size=8, num_items=20)(3), visited[24:32])


def test_learning_rate_course() -> None:
    settings = config(num_steps=10, warmup_steps=2)
    rates = [training.learning_rate_at(step, settings) / settings.learning_rate for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, *[1 - k / 8 for k in range(8)]])


def test_ema_has_its_half_life() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    ema = Ema([parameter])
    with torch.no_grad():
        parameter.zero_()
    for step in range(10):
        ema.update(ema_decay(batch_size=5, cur_nimg=10_000 + step, halflife_images=50, rampup_ratio=1.0))
    assert ema.averages[0].tolist() == pytest.approx([0.5] * 3)
