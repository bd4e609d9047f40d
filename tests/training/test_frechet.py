"""Training with moments that run over the steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.at_step import Killed, at_step, die
from helpers.process_worker import frechet
from helpers.small_training import Pairs, training_config
from helpers.small_unet import small_unet

import pipeline.training.loop as training

CONFIG = training_config(num_steps=7, checkpoint_every_steps=3)


def trained(runtime, folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], object]:
    torch.manual_seed(0)
    unet, objective = (
        small_unet(block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)),
        frechet(),
    )
    result = training.train(unet, Pairs(), objective, CONFIG, runtime, folder, "student")
    return unet.state_dict(), objective.state_dict(), result


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_with_its_moments_to_the_bit(runtime, tmp_path: Path) -> None:
    whole, moments, result = trained(runtime, tmp_path / "whole")
    # Each step adds one batch, and what memory was measured on adds none.
    assert int(moments["count"]) == 7
    with at_step(5, die), pytest.raises(Killed):
        trained(runtime, tmp_path / "killed")
    again, found, continued = trained(runtime, tmp_path / "killed")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert all(torch.equal(moments[name], found[name]) for name in moments)
    assert [row.loss for row in continued.history] == [row.loss for row in result.history]
    # 7 steps of 8 pairs: half with an own step, and two generated images each.
    assert result.compute.samples_forward == 7 * (8 + 4 + 16)
    assert result.compute.samples_backward == 7 * (8 + 16)
