"""An autoencoder is trained by the loop of all models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.at_step import Killed, at_step, die
from helpers.small_training import Pairs, training_config
from helpers.trainable_autoencoder import trainable_autoencoder

import pipeline.training.loop as training
from pipeline.methods.reconstruction import Reconstruction

OBJECTIVE = Reconstruction((2, 4, 4), kl_weight=1e-6)


def test_a_killed_run_goes_on_to_the_same_weights_and_the_loss_falls(runtime, tmp_path: Path) -> None:
    settings = training_config(heldout_items=20, heldout_every_steps=4, learning_rate=3e-3, ema_halflife_images=8)
    arguments = (Pairs(), OBJECTIVE, settings, runtime)
    whole, resumed = trainable_autoencoder(), trainable_autoencoder()
    result = training.train(whole, *arguments, tmp_path / "whole", "whole", heldout=Pairs())
    with at_step(8, die), pytest.raises(Killed):
        training.train(trainable_autoencoder(), *arguments, tmp_path / "killed", "killed", heldout=Pairs())
    again = training.train(resumed, *arguments, tmp_path / "killed", "resumed", heldout=Pairs())
    for name, values in whole.state_dict().items():
        assert torch.equal(values, resumed.state_dict()[name]), name
    assert again == result
    losses = [row.heldout_loss for row in result.history]
    assert losses == sorted(losses, reverse=True)
    # 12 steps of 8 images forward and backward; 20 held-out ones, in three batches of 8, at three steps and at the end.
    assert (result.compute.samples_forward, result.compute.samples_backward) == (12 * 8 + 4 * 24, 12 * 8)


def test_recomputed_activations_and_micro_batches_give_the_same_loss(runtime, tmp_path: Path) -> None:
    losses = []
    for name, changes in (("plain", {}), ("lean", {"gradient_checkpointing": True, "gradient_accumulation_steps": 2})):
        settings = training_config(num_steps=2, **changes)
        network = trainable_autoencoder()
        result = training.train(network, Pairs(), OBJECTIVE, settings, runtime, tmp_path / name, name)
        losses.append(result.history[-1].loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
