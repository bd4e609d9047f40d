from __future__ import annotations

import copy
import dataclasses
import os
import shutil
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.utils import DistributedType
from diffusers import UNet2DModel
from helpers.at_step import Killed, at_step, die
from helpers.lock_holder import held_by_another
from helpers.small_training import OBJECTIVE, Pairs, training_config

import pipeline.training.loop as training
from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.watch import WatchConfig
from pipeline.data.order import BatchOrder
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import step_generator
from pipeline.flow.timesteps import fixed
from pipeline.methods.objective import Objective
from pipeline.methods.reflow import Reflow
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler
from pipeline.models.velocity_mlp import VelocityMLP
from pipeline.system.errors import InterruptedRunError, StraightflowError
from pipeline.training.dropout import set_dropout
from pipeline.training.heldout import heldout_loss, heldout_split
from pipeline.training.interruption import StopRequest
from pipeline.training.loop import learning_rate_at
from pipeline.training.preflight import (
    Placement,
    TrainingNeeds,
    require_room,
    require_whole_parameters,
    training_needs,
    weights_bytes,
)
from pipeline.training.samples import StepBatches, Subset
from pipeline.training.setup import prepared
from pipeline.training.watching import QuickFid, Watcher


def require_equal(one: UNet2DModel, other: UNet2DModel) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize(
    ("killed_at", "dropout", "optimizer"), [(4, 0.0, "adamw"), (8, 0.3, "adamw"), (4, 0.3, "muon"), (8, 0.0, "muon")]
)
def test_a_run_killed_and_resumed_ends_with_the_same_weights(
    tiny_unet, runtime, tmp_path: Path, killed_at: int, dropout: float, optimizer: str
) -> None:
    set_dropout(tiny_unet, dropout)
    whole, resumed = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    settings = training_config(
        ema_other_halflives_images=(20,), heldout_items=20, heldout_every_steps=6, optimizer=optimizer
    )
    arguments = (Pairs(), OBJECTIVE, settings, runtime)
    result = training.train(whole, *arguments, tmp_path / "whole", "whole", heldout=Pairs())
    with at_step(killed_at, die), pytest.raises(Killed):
        training.train(resumed, *arguments, tmp_path / "killed", "killed", heldout=Pairs())
    resumed = copy.deepcopy(tiny_unet)
    again = training.train(resumed, *arguments, tmp_path / "killed", "resumed", heldout=Pairs())
    require_equal(whole, resumed)
    assert [row.step for row in result.history] == [4, 6, 8, 12]
    assert again == result


def test_weights_stored_channels_last_are_saved_and_go_on(tiny_unet, tmp_path: Path) -> None:
    runtime = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="on"), ONE_PROCESS)
    whole, resumed = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    arguments = (Pairs(), OBJECTIVE, training_config(), runtime)
    training.train(whole, *arguments, tmp_path / "whole", "whole")
    assert not all(parameter.is_contiguous() for parameter in whole.parameters())
    with at_step(8, die), pytest.raises(Killed):
        training.train(copy.deepcopy(tiny_unet), *arguments, tmp_path / "killed", "killed")
    assert [item.name for item in (tmp_path / "killed").glob("step-*")] == ["step-000000005"]
    training.train(resumed, *arguments, tmp_path / "killed", "resumed")
    require_equal(whole, resumed)


@pytest.mark.parametrize(("before", "after"), [("on", "off"), ("off", "on")])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_goes_on_in_another_memory_format(
    tiny_unet, tmp_path: Path, before: str, after: str, optimizer: str
) -> None:
    settings = training_config(optimizer=optimizer)
    first, second = (
        open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last=value), ONE_PROCESS)
        for value in (before, after)
    )
    whole, resumed = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    training.train(whole, Pairs(), OBJECTIVE, settings, second, tmp_path / "whole", "whole")
    with at_step(8, die), pytest.raises(Killed):
        training.train(copy.deepcopy(tiny_unet), Pairs(), OBJECTIVE, settings, first, tmp_path / "run", "run")
    training.train(resumed, Pairs(), OBJECTIVE, settings, second, tmp_path / "run", "resumed")
    names = [name for name in whole.state_dict() if not name.endswith("to_k.bias")]  # whose gradient is rounding alone
    moved = max(float((whole.state_dict()[name] - tiny_unet.state_dict()[name]).abs().max()) for name in names)
    apart = max(float((whole.state_dict()[name] - resumed.state_dict()[name]).abs().max()) for name in names)
    assert moved > 1e-3
    assert apart < 1e-3 * moved


@pytest.mark.parametrize("saved", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("trained", [torch.channels_last, torch.contiguous_format])
def test_loaded_moments_have_the_strides_of_their_parameters(runtime, saved, trained) -> None:
    def stepped(memory_format: torch.memory_format) -> torch.nn.Module:
        return torch.nn.Conv2d(3, 5, 3).to(memory_format=memory_format)

    one, other = stepped(saved), stepped(trained)
    optimizer = torch.optim.AdamW(one.parameters(), fused=True)
    one(torch.ones(1, 3, 4, 4)).square().mean().backward()
    optimizer.step()
    runtime = dataclasses.replace(runtime, channels_last=trained is torch.channels_last)
    with prepared(other, training_config(), runtime) as (_, (into,)):
        into.load_state_dict(optimizer.state_dict())
        for parameter, original in zip(other.parameters(), one.parameters(), strict=True):
            for name in ("exp_avg", "exp_avg_sq"):
                loaded = into.optimizer.state[parameter][name]
                assert loaded.stride() == parameter.stride()
                assert torch.equal(loaded, optimizer.state[original][name])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_saves_the_step_and_says_resume(
    number: signal.Signals, tiny_unet, runtime, tmp_path: Path
) -> None:
    whole, resumed = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    result = training.train(whole, Pairs(), OBJECTIVE, training_config(), runtime, tmp_path / "whole", "whole")
    before = signal.getsignal(number)
    with (
        at_step(6, lambda: os.kill(os.getpid(), number)),
        pytest.raises(InterruptedRunError, match="saved step 7 of 12"),
    ):
        training.train(resumed, Pairs(), OBJECTIVE, training_config(), runtime, tmp_path / "asked", "asked")
    assert signal.getsignal(number) is before
    assert (tmp_path / "asked/step-000000007").is_dir()
    resumed = copy.deepcopy(tiny_unet)
    again = training.train(resumed, Pairs(), OBJECTIVE, training_config(), runtime, tmp_path / "asked", "again")
    require_equal(whole, resumed)
    assert again == result


def test_a_second_ctrl_c_is_not_waited_for_and_an_ignored_one_stays_ignored(runtime) -> None:
    request = StopRequest(runtime.accelerator)
    with request.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert request.made(1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        request = StopRequest(runtime.accelerator)
        with request.listening():
            os.kill(os.getpid(), signal.SIGINT)
            assert not request.made(1)
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_draws_nothing_from_the_global_generator(tiny_unet, runtime, tmp_path: Path) -> None:
    set_dropout(tiny_unet, 0.3)
    before = torch.get_rng_state()
    training.train(tiny_unet, Pairs(), OBJECTIVE, training_config(num_steps=2), runtime, tmp_path, "x")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("change", [{"gradient_accumulation_steps": 4}, {"gradient_checkpointing": True}])
def test_saving_memory_changes_nothing_but_rounding(tiny_unet, runtime, tmp_path: Path, change) -> None:
    plain, saving = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    one = training.train(plain, Pairs(), OBJECTIVE, training_config(), runtime, tmp_path / "plain", "plain")
    other = training.train(
        saving, Pairs(), OBJECTIVE, training_config(**change), runtime, tmp_path / "saving", "saving"
    )
    assert [row.loss for row in other.history] == pytest.approx([row.loss for row in one.history], rel=1e-5)
    for name, value in plain.state_dict().items():
        if not name.endswith("to_k.bias"):  # its gradient is rounding alone, which Adam scales up
            assert torch.allclose(value, saving.state_dict()[name], rtol=0, atol=1e-5), name


def test_of_several_averages_the_one_of_lowest_heldout_loss_becomes_the_model(
    tiny_unet, runtime, tmp_path: Path
) -> None:
    # Half-lives from one step to far beyond the run: short ones have learned these pairs, the longest hardly.
    settings = training_config(
        num_steps=60,
        ema_halflife_images=10**6,
        ema_rampup_ratio=1.0,
        ema_other_halflives_images=(8, 200),
        heldout_items=20,
    )
    start = copy.deepcopy(tiny_unet)
    result = training.train(tiny_unet, Pairs(), OBJECTIVE, settings, runtime, tmp_path, "x", heldout=Pairs())
    losses = result.heldout_loss_by_halflife
    assert set(losses) == {10**6, 8, 200}
    assert result.halflife_images == min(losses, key=lambda halflife: losses[halflife]) != 10**6
    measured = heldout_loss(tiny_unet, Pairs(), OBJECTIVE, runtime, batch_size=5, seed=0)
    assert measured == pytest.approx(losses[result.halflife_images], rel=0.2)
    assert heldout_loss(start, Pairs(), OBJECTIVE, runtime, batch_size=5, seed=0) > measured


@pytest.mark.parametrize(
    ("batch_size", "num_micro_batches", "sizes"),
    # The last batch of 20 samples is filled up; 7 rows are, to be divided by 3; and a batch is no larger than the set.
    [(5, 1, [5] * 4), (8, 2, [4] * 6), (7, 3, [3] * 9), (32, 4, [5] * 4), (32, 8, [3] * 8)],
)
def test_a_held_out_loss_is_measured_in_micro_batches_and_is_the_same(
    tiny_unet, runtime, batch_size: int, num_micro_batches: int, sizes: list[int]
) -> None:
    found: list[int] = []

    def counted(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(len(inputs[0]))

    whole = heldout_loss(tiny_unet, Pairs(), OBJECTIVE, runtime, batch_size=batch_size, seed=0)
    tiny_unet.register_forward_pre_hook(counted)
    micro = {"batch_size": batch_size, "num_micro_batches": num_micro_batches}
    measured = heldout_loss(tiny_unet, Pairs(), OBJECTIVE, runtime, seed=0, **micro)
    assert found == sizes
    assert measured == (whole if num_micro_batches == 1 else pytest.approx(whole, rel=1e-6))


def test_recorded_losses_by_time_average_to_the_loss(tiny_unet, runtime, tmp_path: Path) -> None:
    objective = Reflow(partial(fixed, t=0.35), VelocityLoss(l2))
    history = training.train(tiny_unet, Pairs(), objective, training_config(), runtime, tmp_path, "x").history
    for row in history:
        assert row.loss_by_time[3] == pytest.approx(row.loss)
        assert [loss for bucket, loss in enumerate(row.loss_by_time) if bucket != 3] == [None] * 9
        assert row.gradient_norm > 0


def test_training_lowers_the_loss(tiny_unet, runtime, tmp_path: Path) -> None:
    settings = training_config(num_steps=150, log_every_steps=50)
    result = training.train(tiny_unet, Pairs(), OBJECTIVE, settings, runtime, tmp_path, "fit")
    assert result.history[-1].loss < 0.8 * result.history[0].loss


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tiny_unet, runtime, tmp_path: Path) -> None:
    poisoned = Pairs()
    poisoned.x_1[13] = float("nan")
    # One checkpoint a step, so that the last good one is that of the step before.
    settings = training_config(checkpoint_every_steps=1, log_every_steps=12, batch_size=4)
    order = BatchOrder(settings.seed, 4, 20)
    bad_step = next(step for step in range(5) if 13 in order(step))
    t = OBJECTIVE.draw(torch.empty(4, 1, 8, 8), step_generator(settings.seed, bad_step))["t"]
    bucket = int(10 * t[order(bad_step).tolist().index(13)])
    where = rf"step {bad_step + 1}: 1 losses .* t in \[{bucket / 10}, {(bucket + 1) / 10}\), of pair 13"
    with pytest.raises(StraightflowError, match=where):
        training.train(tiny_unet, poisoned, OBJECTIVE, settings, runtime, tmp_path, "nan")
    assert max(item.name for item in tmp_path.iterdir()) == f"step-{bad_step:09d}"


def test_a_run_that_broke_down_is_not_looked_at(tiny_unet, runtime, tmp_path: Path) -> None:
    poisoned = Pairs()
    poisoned.x_1[:] = float("nan")
    fid = QuickFid("fid", lambda _: pytest.fail("measured on weights that are not finite"))
    watcher = Watcher(WatchConfig(trackers=("tensorboard",), fid_every_steps=1), tmp_path, lambda _: None, runtime, fid)
    with pytest.raises(StraightflowError, match="step 1: 8 losses are not finite"):
        training.train(tiny_unet, poisoned, OBJECTIVE, training_config(), runtime, tmp_path, "nan", watcher=watcher)
    watcher.finish()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 7, "gradient_accumulation_steps": 2}, "divide over 1 processes × 2 micro-batches"),
        ({"kept_checkpoints": 10**9}, "free for 1000000001 checkpoints"),
    ],
)
def test_a_run_that_cannot_end_well_is_refused(tiny_unet, runtime, tmp_path: Path, changes, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        training.train(tiny_unet, Pairs(), OBJECTIVE, training_config(**changes), runtime, tmp_path, "refused")


def test_room_is_that_of_every_checkpoint_to_be_kept_and_of_those_there_already(tmp_path: Path, monkeypatch) -> None:
    needs = TrainingNeeds(num_parameters=1, state_bytes=1, working_bytes=1, checkpoint_bytes=1000)
    free = SimpleNamespace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)  # noqa: ARG005
    # Saved at 5, 10, 15, …, 35; of them 15 and 30 are marked, two more are kept and one is being written.
    settings = training_config(num_steps=40, checkpoint_every_steps=5, marked_checkpoint_every_steps=3)
    free.free = 4999
    with pytest.raises(StraightflowError, match="free for 5 checkpoints"):
        require_room(tmp_path / "run", needs, settings)
    free.free = 5000
    require_room(tmp_path / "run", needs, settings)
    (tmp_path / "run/step-000000005").mkdir(parents=True)
    (tmp_path / "run/step-000000005/weights").write_bytes(bytes(1000))
    free.free = 4000
    require_room(tmp_path / "run", needs, settings)
    free.free = 3999
    with pytest.raises(StraightflowError, match="and 0 MB of checkpoints already there"):
        require_room(tmp_path / "run", needs, settings)


def test_sharded_parameters_are_refused() -> None:
    for kind in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        require_whole_parameters(SimpleNamespace(distributed_type=kind))
    with pytest.raises(StraightflowError, match="FSDP"):
        require_whole_parameters(SimpleNamespace(distributed_type=DistributedType.FSDP))


def test_a_folder_that_another_training_works_in_is_refused(tiny_unet, runtime, tmp_path: Path) -> None:
    arguments = (Pairs(), OBJECTIVE, training_config(), runtime, tmp_path, "second")
    refused = pytest.raises(StraightflowError, match="no other training at work")
    with held_by_another(tmp_path / ".lock"), refused:
        training.train(tiny_unet, *arguments)
    training.train(tiny_unet, *arguments)


def test_gradient_checkpointing_of_a_network_that_cannot_is_refused(runtime, tmp_path: Path) -> None:
    network = VelocityMLP(in_channels=2, width=4, num_layers=1, fourier_octaves=0)
    points = Pairs()
    points.x_0, points.x_1 = torch.zeros(20, 2), torch.zeros(20, 2)
    settings = training_config(gradient_checkpointing=True)
    with pytest.raises(StraightflowError, match=r"VelocityMLP(.|\n)*gradient_checkpointing: false"):
        training.train(network, points, OBJECTIVE, settings, runtime, tmp_path, "refused")


def test_images_of_another_shape_and_an_empty_set_are_refused(tiny_unet, runtime, tmp_path: Path) -> None:
    other = Pairs()
    other.x_1 = torch.zeros(20, 1, 4, 4)
    with pytest.raises(StraightflowError, match=r"\(1, 8, 8\)(.|\n)*found: \(1, 4, 4\)"):
        training.train(tiny_unet, other, OBJECTIVE, training_config(), runtime, tmp_path, "refused")
    with pytest.raises(StraightflowError, match="samples to train refused on"):
        training.train(
            tiny_unet, Subset(Pairs(), np.arange(0)), OBJECTIVE, training_config(), runtime, tmp_path, "refused"
        )


def needs_of(network, runtime, *, looked_at: bool = False, objective=OBJECTIVE, **changes: object) -> TrainingNeeds:
    config = training_config(**changes)
    return training_needs(
        network.train(), Pairs(), objective, config, Placement.of(runtime), averages_looked_at=looked_at
    )


def test_memory_is_foretold(tiny_unet, runtime) -> None:
    num = sum(parameter.numel() for parameter in tiny_unet.parameters())
    needs = needs_of(tiny_unet, runtime, ema_other_halflives_images=(3,), heldout_items=1)
    assert needs.state_bytes == 4 * num * 6
    assert needs.checkpoint_bytes == 4 * num * 5
    assert needs.copy_bytes == 0
    assert needs_of(tiny_unet, runtime, looked_at=True).copy_bytes == 4 * num
    # Between what the first convolution alone must keep and a hundred copies of the widest feature map.
    assert 8 * 8 * 8 * 4 < needs.working_bytes / 8 < 100 * 16 * 8 * 8 * 4
    # What grows with the batch does so in proportion, and half of it comes and goes in each of two micro-batches.
    sizes = [needs_of(tiny_unet, runtime, batch_size=size).working_bytes for size in (80, 160, 240)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.02)
    batch = 2 * 160 * (2 * 64 + 2) * 4  # x_0, x_1, t and progress of 160 samples, and of the next 160
    halved = needs_of(tiny_unet, runtime, batch_size=160, gradient_accumulation_steps=2).working_bytes
    assert halved - batch == sizes[0] - batch // 2
    tiny_unet.enable_gradient_checkpointing()
    assert needs_of(tiny_unet, runtime, batch_size=80).working_bytes < 0.7 * sizes[0]


def test_memory_counts_what_processes_exchange(tiny_unet, runtime) -> None:
    num = sum(parameter.numel() for parameter in tiny_unet.parameters())
    two = SimpleNamespace(num_processes=2, device=torch.device("cpu"))
    needs = needs_of(tiny_unet, dataclasses.replace(runtime, accelerator=two), batch_size=80)
    assert needs.copy_bytes == 4 * num
    assert needs.state_bytes == 4 * num * 5
    assert needs.working_bytes == needs_of(tiny_unet, runtime, batch_size=40).working_bytes
    sharded = needs_of(tiny_unet, dataclasses.replace(runtime, accelerator=two, sharded=True))
    largest = sum(parameter.numel() for parameter in tiny_unet.up_blocks[0].parameters())
    assert sharded.copy_bytes == 2 * 4 * largest
    assert sharded.state_bytes == 4 * num * 5 // 2


def test_memory_counts_the_weights_of_models_that_the_method_calls(tiny_unet, runtime) -> None:
    num = sum(parameter.numel() for parameter in tiny_unet.parameters())
    init = Sampler((1, 8, 8), "init", None, tiny_unet, runtime)
    config = training_config()
    needs = training_needs(
        tiny_unet.train(),
        Pairs(),
        OBJECTIVE,
        config,
        Placement.of(runtime),
        companion_bytes=weights_bytes([init]),
        averages_looked_at=False,
    )
    assert needs.companion_bytes == 4 * num
    assert f"{4 * num / 1e3:.0f} kB other models" in needs.describe()
    alone = needs_of(tiny_unet, runtime)
    assert dataclasses.replace(needs, companion_bytes=0) == alone
    assert "other models" not in alone.describe()


def test_memory_counts_what_a_perceptual_distance_keeps(tiny_unet, runtime) -> None:
    kept_copies = 1000

    def perceptual(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        seen = (images - others)[:, None].expand(-1, kept_copies, -1, -1, -1)
        return seen.exp().flatten(1).sum(1)  # the backward pass needs the exponentials, and gives each its gradient

    alone = needs_of(tiny_unet, runtime, batch_size=80).working_bytes
    objective = dataclasses.replace(OBJECTIVE, velocity_loss=VelocityLoss(l2, perceptual))
    found = needs_of(tiny_unet, runtime, objective=objective, batch_size=80).working_bytes
    # By how much the network keeps more or less while it is computed is small beside it.
    assert found - alone == pytest.approx(2 * 80 * kept_copies * 64 * 4, rel=0.02)


class AsksProgress(Objective):
    """Reflow whose losses are the progress that it is given."""

    draw, times = OBJECTIVE.draw, OBJECTIVE.times

    def loss(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["progress"] + 0 * OBJECTIVE.loss(network, batch)


def test_a_method_is_told_what_share_of_the_training_is_over_and_measured_as_at_its_end(
    tiny_unet, runtime, tmp_path: Path
) -> None:
    settings = training_config(log_every_steps=1, heldout_items=20, heldout_every_steps=6)
    result = training.train(
        tiny_unet, Pairs(), AsksProgress(), settings, runtime, tmp_path, "asking", heldout=Pairs()
    )  # fmt: skip
    assert [row.loss for row in result.history] == pytest.approx([step / 12 for step in range(12)])
    assert [row.heldout_loss for row in result.history if row.heldout_loss is not None] == [1.0, 1.0]


def test_processes_share_a_step_and_draw_different_times() -> None:
    whole = StepBatches(Pairs(), OBJECTIVE, training_config(), 0, 1)[5]
    shares = [StepBatches(Pairs(), OBJECTIVE, training_config(), rank, 2)[5] for rank in range(2)]
    for name, values in whole.items():
        assert torch.equal(torch.cat([share[name] for share in shares]), values)
    assert not torch.equal(shares[0]["t"], shares[1]["t"])


def test_every_epoch_visits_each_sample_once() -> None:
    order = BatchOrder(seed=0, batch_size=8, num_items=20)
    visited = np.concatenate([order(step) for step in range(5)])
    for epoch in range(2):
        assert sorted(visited[20 * epoch : 20 * (epoch + 1)]) == list(range(20))
    assert np.array_equal(BatchOrder(seed=0, batch_size=8, num_items=20)(3), visited[24:32])


@pytest.mark.parametrize(("num_items", "num_heldout"), [(1000, 100), (20, 0), (20, 20), (20, 30)])
def test_held_out_samples_are_not_trained_on(num_items: int, num_heldout: int) -> None:
    trained_on, heldout = heldout_split(num_items, num_heldout, seed=3)
    assert len(heldout) == min(num_heldout, num_items)
    assert sorted([*trained_on, *heldout]) == list(range(num_items))


def test_held_out_samples_are_spread_over_an_ordered_set_and_a_seed_nests_them() -> None:
    heldout = heldout_split(1000, 100, seed=3)[1]
    # Of each tenth of the set 10 are expected, with the standard deviation of 100 draws without replacement.
    counts = np.histogram(heldout, bins=10, range=(0, 1000))[0]
    assert np.abs(counts - 10).max() <= 4 * np.sqrt(100 * 0.1 * 0.9 * 900 / 999)
    assert not np.array_equal(heldout, heldout_split(1000, 100, seed=4)[1])
    assert set(heldout_split(1000, 40, seed=3)[1]) < set(heldout)


@pytest.mark.parametrize("num_processes", [1, 2, 4])
def test_no_process_of_any_number_trains_on_a_held_out_sample(num_processes: int) -> None:
    items = Pairs()
    trained_on, heldout = heldout_split(20, 6, seed=0)
    shares = [
        StepBatches(Subset(items, trained_on), OBJECTIVE, training_config(), rank, num_processes)
        for rank in range(num_processes)
    ]
    seen = torch.cat([share[step]["x_1"] for share in shares for step in range(12)]).flatten(1).tolist()
    # Twelve steps of eight visit each of the fourteen others several times.
    assert all(x.tolist() in seen for x in items.x_1[trained_on].flatten(1))
    assert not any(x.tolist() in seen for x in items.x_1[heldout].flatten(1))
    # A sample's name is that of the set it was taken from.
    assert Subset(items, heldout).locate(2) == f"pair {heldout[2]}"


def test_learning_rate_course() -> None:
    settings = training_config(num_steps=10, warmup_steps=2)
    rates = [learning_rate_at(step, settings) / settings.learning_rate for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, *[1 - k / 8 for k in range(8)]])
