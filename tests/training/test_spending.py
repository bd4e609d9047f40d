from __future__ import annotations

import copy
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from diffusers import UNet2DModel
from helpers.at_step import Killed, at_step, die
from helpers.small_training import OBJECTIVE, Pairs, training_config
from helpers.small_unet import small_unet

import pipeline.training.loop as training
import pipeline.training.spending as spending_module
from pipeline.config.solver import SolverConfig
from pipeline.config.watch import WatchConfig
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.methods.progressive import Progressive
from pipeline.models.flops import FlopsPerSample, flops_per_sample
from pipeline.models.ode import ode_of
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.compute import Compute
from pipeline.system.errors import InterruptedRunError
from pipeline.training.spending import Spending
from pipeline.training.watching import Watcher
from stages.watching import as_wrapped, preview_of

# 12 steps of 8; and 24 rows a held-out loss (20 pairs in batches of 8), at steps 6 and 12 and of both averages at last.
STEPS, HELDOUT = 12 * 8, 24 * (2 + 2)
SETTINGS = training_config(ema_other_halflives_images=(20,), heldout_items=20, heldout_every_steps=6)


def calls(compute: Compute) -> tuple[int, int, int]:
    return compute.samples_forward, compute.samples_backward, compute.flops


def one_level() -> UNet2DModel:
    return small_unet(block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",))


def train(network, runtime: Runtime, folder: Path, watcher: Watcher | None = None) -> Compute:
    items = Pairs(), OBJECTIVE, SETTINGS, runtime, folder, "run"
    return training.train(copy.deepcopy(network), *items, heldout=Pairs(), watcher=watcher).compute


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("act", "error"), [(die, Killed), (stop, InterruptedRunError)])
def test_stretches_of_a_run_add_up_to_the_whole(tiny_unet, runtime, tmp_path: Path, act, error) -> None:
    flops = flops_per_sample(tiny_unet, (1, 8, 8), None)
    expected = (STEPS + HELDOUT, STEPS, (STEPS + HELDOUT) * flops.forward + STEPS * flops.backward)
    assert calls(train(tiny_unet, runtime, tmp_path / "whole")) == expected
    with at_step(8, act), pytest.raises(error):
        train(tiny_unet, runtime, tmp_path / "stopped")
    with at_step(10, act), pytest.raises(error):  # a third stretch
        train(tiny_unet, runtime, tmp_path / "stopped")
    assert calls(train(tiny_unet, runtime, tmp_path / "stopped")) == expected


@pytest.mark.parametrize(("act", "error"), [(die, Killed), (stop, InterruptedRunError)])
def test_calls_of_the_model_that_is_followed_count_with_its_own_flops(
    tiny_unet, runtime, tmp_path: Path, act, error
) -> None:
    """Two of it for each sample trained on or held out; a run that was stopped ends with the same weights."""
    save_student(one_level(), tmp_path / "init")

    def train_after_it(folder: Path) -> tuple[Compute, dict[str, torch.Tensor]]:
        init, network = load_sampler(tmp_path / "init", runtime), copy.deepcopy(tiny_unet)
        init.sample(torch.zeros(5, 1, 8, 8), SolverConfig(name="euler", num_steps=3))  # no part of the training
        objective = Progressive(VelocityLoss(l2), num_steps=2, init=ode_of(init))
        run = network, Pairs(), objective, SETTINGS, runtime, folder, "run"
        return training.train(*run, heldout=Pairs(), companions=[init]).compute, network.state_dict()

    small = flops_per_sample(one_level(), (1, 8, 8), None)
    flops = flops_per_sample(tiny_unet, (1, 8, 8), None)
    assert small.forward < flops.forward
    seen = STEPS + HELDOUT
    expected = (3 * seen, STEPS, seen * (flops.forward + 2 * small.forward) + STEPS * flops.backward)
    whole, weights = train_after_it(tmp_path / "whole")
    assert calls(whole) == expected
    with at_step(8, act), pytest.raises(error):
        train_after_it(tmp_path / "stopped")
    resumed, same_weights = train_after_it(tmp_path / "stopped")
    assert calls(resumed) == expected
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)


def test_micro_batches_and_watching_change_no_count(tiny_unet, runtime, tmp_path: Path) -> None:
    seen = []
    preview = preview_of(as_wrapped(tiny_unet, None, runtime), SolverConfig(name="euler", num_steps=1))

    def looking(network):
        seen.append(len(images := preview(network)))
        return images

    watcher = Watcher(WatchConfig(trackers=(), samples_every_steps=6), tmp_path / "watch", looking, runtime)
    assert calls(train(tiny_unet, runtime, tmp_path / "run", watcher))[:2] == (STEPS + HELDOUT, STEPS)
    assert len(seen) == 2
    accumulated = SETTINGS.model_copy(update={"gradient_accumulation_steps": 4})
    found = training.train(copy.deepcopy(tiny_unet), Pairs(), OBJECTIVE, accumulated, runtime, tmp_path / "4", "4")
    assert calls(found.compute)[:2] == (STEPS, STEPS)


def test_seconds_add_up_over_stretches_without_pauses(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(spending_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    first = Spending(FlopsPerSample(forward=3, backward=5), Accelerator(cpu=True))
    now[0] += 4
    with first.paused():
        now[0] += 30
    now[0] += 1
    first.calls.forward, first.calls.backward = 10, 2
    assert first.total() == Compute(10, 2, 10 * 3 + 2 * 5, seconds=5.0)
    saved = first.state_dict()
    second = Spending(FlopsPerSample(forward=3, backward=5), Accelerator(cpu=True))
    now[0] += 1000
    second.load_state_dict(saved)
    now[0] += 2
    second.calls.forward = 1
    assert second.total() == Compute(11, 2, 11 * 3 + 2 * 5, seconds=7.0)
