"""Two processes of which one is told something: both act on it alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.project_folders import launch
from helpers.small_training import OBJECTIVE, Pairs
from helpers.small_unet import small_unet
from helpers.stopping_worker import POISONED, SETTINGS
from safetensors.torch import load_file

from pipeline.data.order import BatchOrder
from pipeline.flow.noise import step_generator
from pipeline.training.loop import train
from pipeline.training.meter import time_bucket


def require_close(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, value in expected.items():
        if not name.endswith("to_k.bias"):  # its gradient is rounding alone, which Adam scales up
            assert torch.allclose(weights[name], value, rtol=0, atol=1e-5), name


@pytest.mark.usefixtures("one_thread")
def test_what_one_process_hears_or_finds_all_act_on(runtime, tmp_path: Path) -> None:
    launch("stopping_worker.py", tmp_path, 2)

    told = {(tmp_path / f"stopped-{rank}").read_text() for rank in range(2)}
    assert told == {"stopped was asked to stop and saved step 10 of 14"}
    whole, alone = small_unet(), small_unet()
    train(whole, Pairs(), OBJECTIVE, SETTINGS, runtime, tmp_path / "whole", "whole")
    train(alone, Pairs(), OBJECTIVE, SETTINGS, runtime, tmp_path / "alone/stopped", "alone")
    require_close(load_file(tmp_path / "gone-on.safetensors"), whole.state_dict())
    require_close(alone.state_dict(), whole.state_dict())

    order = BatchOrder(SETTINGS.seed, SETTINGS.batch_size, len(Pairs()))
    step = next(step for step in range(SETTINGS.num_steps) if POISONED in order(step))
    t = OBJECTIVE.draw(Pairs().x_1[order(step)], step_generator(SETTINGS.seed, step))["t"]
    bucket = int(time_bucket(t)[order(step).tolist().index(POISONED)])
    said = f"step {step + 1}: 1 losses are not finite, at t in [{bucket / 10}, {(bucket + 1) / 10}), of pair {POISONED}"
    assert {(tmp_path / f"broken-{rank}").read_text() for rank in range(2)} == {said}
