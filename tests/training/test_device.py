"""A whole training on a device: every tensor is there that must be, and the host does not wait for steady steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from helpers.learnable_features import PixelFeatures
from helpers.small_training import training_config
from helpers.small_unet import small_unet
from helpers.stand_in_device import OnDevice, placed, stand_in_device

import pipeline.training.loop as training
from pipeline.config.flow import LossConfig
from pipeline.config.methods import METHODS, Method
from pipeline.config.training import TrainingConfig
from pipeline.flow.noise import step_generator
from pipeline.methods.build import build_method
from pipeline.models.ode import ode_of
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.training.loop import learning_rate_at, train

NUM_STEPS = 3
STATE_TIMES = (0.25, 0.5, 0.75)
REQUIRED = {"reflow": {"timesteps": {"name": "uniform"}}, "progressive": {"num_steps": 2}}
INIT_OF = {
    **{name: "none" for name, method in METHODS.items() if not method.follows_init},
    **{name: "student" for name, method in METHODS.items() if method.follows_init},
}
CASES = [*INIT_OF.items(), *((name, "teacher") for name, method in METHODS.items() if method.follows_init)]


class PairsWithStates:
    """Sixteen pairs of class-conditional couplings with their states."""

    def __init__(self, num_classes: int | None) -> None:
        generator = step_generator(0, 0)
        x_0, x_1 = torch.randn(2, 16, 1, 4, 4, generator=generator)
        times = torch.tensor(STATE_TIMES).view(1, -1, 1, 1, 1)
        states = (1 - times) * x_0[:, None] + times * x_1[:, None]
        self._all = {"x_0": x_0, "x_1": x_1, "states": states.half()}
        if num_classes is not None:
            self._all["labels"] = torch.arange(16) % num_classes

    def __len__(self) -> int:
        return 16

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        return {name: values[torch.from_numpy(indices)] for name, values in self._all.items()}

    def locate(self, index: int) -> str:
        return f"pair {index}"


def method_of(name: str) -> Method:
    return METHODS[name].model_validate({"name": name} | REQUIRED.get(name, {}))


def one_level_unet(**conditions: object) -> UNet2DModel:
    return small_unet(
        sample_size=4,
        block_out_channels=(8,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        **conditions,
    )


def saved_init(kind: str, num_classes: int | None, folder: Path) -> None:
    network = one_level_unet(num_class_embeds=num_classes)
    if kind == "teacher":
        save_teacher(network, folder, training_scheduler())
    else:
        save_student(network, folder)


def trained(
    name: str, init: Sampler | None, num_classes: int | None, runtime: Runtime, folder: Path, config: TrainingConfig
) -> training.TrainingResult:
    """Three steps of the method, on whatever device ``runtime`` has."""
    method = method_of(name)
    conditions = {"class_embed_type": "timestep"} if method.two_times else {"num_class_embeds": num_classes}
    objective = build_method(
        method,
        LossConfig(name="pseudo_huber", c=0.03),
        runtime.device,
        state_times=STATE_TIMES,
        init=None if init is None else ode_of(init),
        features=PixelFeatures(np.zeros(16), np.eye(16), runtime.device) if method.learns_features else None,
    )
    items = PairsWithStates(None if method.two_times else num_classes)
    companions = () if init is None else (init,)
    return train(
        one_level_unet(**conditions),
        items,
        objective,
        config,
        runtime,
        folder,
        name,
        heldout=items,
        companions=companions,
    )


@pytest.mark.parametrize(
    ("name", "init", "optimizer"),
    [*((*case, "adamw") for case in CASES), ("any_step", "none", "muon")],
    ids=lambda value: value,
)
def test_a_device_trains_as_the_cpu_does_and_is_not_waited_for(
    name: str, init: str, optimizer: str, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = training_config(
        num_steps=NUM_STEPS,
        log_every_steps=NUM_STEPS,
        checkpoint_every_steps=NUM_STEPS,
        gradient_accumulation_steps=2,
        heldout_items=16,
        optimizer=optimizer,
    )
    num_classes = 3
    sampler = None
    if init != "none":
        saved_init(init, num_classes, tmp_path / "init")
        sampler = load_sampler(tmp_path / "init", runtime)

    def run(folder: Path) -> training.TrainingResult:
        return trained(name, None if sampler is None else placed(sampler), num_classes, runtime, folder, config)

    expected = run(tmp_path / "cpu")
    with stand_in_device(monkeypatch) as device:
        waits_before: list[int] = []

        def began(step: int, settings: TrainingConfig) -> float:
            waits_before.append(len(device.waits))
            return learning_rate_at(step, settings)

        monkeypatch.setattr(training, "learning_rate_at", began)
        found = run(tmp_path / "device")
        assert all(isinstance(average, OnDevice) for ema in found.averages for average in ema.averages)
    assert len(waits_before) == NUM_STEPS
    steady = device.waits[waits_before[0] : waits_before[NUM_STEPS - 1]]
    assert steady == []
    (ours,), (theirs,) = found.history, expected.history
    assert ours.loss == pytest.approx(theirs.loss, rel=2e-2)
    assert ours.heldout_loss == pytest.approx(theirs.heldout_loss, rel=2e-2)
    assert found.compute.samples_forward == expected.compute.samples_forward
