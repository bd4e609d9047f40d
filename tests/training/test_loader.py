"""Workers that make batches ahead: the same batches, a SIGTERM or Ctrl-C that reaches them all, and their end."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from contextlib import closing

import numpy as np
import pytest
import torch
from helpers.small_training import OBJECTIVE, Pairs, training_config

from pipeline.methods.flow_matching import FlowMatching
from pipeline.system.errors import StraightflowError
from pipeline.training import loader
from pipeline.training.loader import batches_from, lost_workers_named, num_workers_for
from pipeline.training.samples import Mirrored, StepBatches, Subset

CPU = torch.device("cpu")


def step_batches(num_steps: int) -> StepBatches:
    return StepBatches(Pairs(), OBJECTIVE, training_config(num_steps=num_steps), 0, 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_their_steps_whoever_makes_them(num_workers: int) -> None:
    batches = step_batches(12)
    loaded = list(batches_from(batches, 5, CPU, num_workers=num_workers))
    assert len(loaded) == 12 - 5
    for step, batch in enumerate(loaded, start=5):
        for name, values in batches[step].items():
            assert torch.equal(batch[name], values)


def test_workers_outlive_requests_to_stop_sent_to_every_process_and_end_with_the_loop() -> None:
    batches, others = step_batches(40), set(multiprocessing.active_children())

    def workers() -> set[multiprocessing.process.BaseProcess]:
        return set(multiprocessing.active_children()) - others

    def interrupted() -> int:
        with closing(batches_from(batches, 0, CPU, num_workers=2)) as loaded:
            for step, batch in enumerate(loaded):
                assert torch.equal(batch["t"], batches[step]["t"])
                if step == 2:  # both workers have begun
                    assert len(workers()) == 2
                    for worker in workers():
                        os.kill(worker.pid, signal.SIGINT)
                        os.kill(worker.pid, signal.SIGTERM)
                if step == 35:
                    raise InterruptedError
        return 0

    with pytest.raises(InterruptedError) as error:
        interrupted()
    # Though the error still holds the loop that used them.
    assert error.traceback
    assert not workers()


@pytest.mark.parametrize("objective", [OBJECTIVE, FlowMatching(OBJECTIVE, None), FlowMatching(OBJECTIVE, 3)])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_what_is_sent_of_a_batch_is_what_it_shows(objective, ranks: int) -> None:
    items = Mirrored(Subset(Pairs(), np.arange(3, 19)))
    whole = StepBatches(items, objective, training_config(), 0, 1)[3]
    shares = [StepBatches(items, objective, training_config(), rank, ranks)[3] for rank in range(ranks)]
    for name, values in whole.items():
        assert torch.equal(torch.cat([share[name] for share in shares]), values)
    for share in shares:
        for values in share.values():
            assert len(values) == 8 // ranks
            assert values.untyped_storage().nbytes() == values.numel() * values.element_size()


class Unreadable(Pairs):
    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        raise StraightflowError(expected="a shard", found=f"damage at {len(indices)}", mend="make it again")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_the_user_keeps_its_message_on_the_way_out_of_a_worker(num_workers: int) -> None:
    batches = StepBatches(Unreadable(), OBJECTIVE, training_config(), 0, 1)
    with (
        pytest.raises(StraightflowError, match=r"^expected: a shard\n   found: damage at 8\n    mend: make it again$"),
        closing(batches_from(batches, 0, CPU, num_workers=num_workers)) as loaded,
    ):
        next(loaded)


def test_a_batch_that_finds_no_room_ends_the_training_instead_of_being_waited_for(monkeypatch) -> None:
    def full(values: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"unable to allocate shared memory of {values.nbytes}: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with (
        pytest.raises(StraightflowError, match=r"No space left on device(.|\n)*--shm-size"),
        closing(batches_from(step_batches(12), 0, CPU, num_workers=1)) as loaded,
    ):
        next(loaded)


def test_a_worker_that_is_killed_ends_the_training_with_one_message() -> None:
    others = set(multiprocessing.active_children())

    def go_on_without_the_worker() -> None:
        with lost_workers_named(), closing(batches_from(step_batches(10_000), 0, CPU, num_workers=1)) as loaded:
            for step, _ in enumerate(loaded):
                if step == 1:
                    (worker,) = set(multiprocessing.active_children()) - others
                    os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(StraightflowError, match=r"processes that make batches to run(.|\n)*num_loader_workers; 0"):
        go_on_without_the_worker()


def test_errors_of_the_training_itself_are_not_told_as_lost_workers() -> None:
    with pytest.raises(RuntimeError, match="shapes"), lost_workers_named():
        raise RuntimeError("shapes do not match")


def test_the_number_of_workers_is_the_configured_one_where_it_has_room(runtime, monkeypatch, capsys) -> None:
    batches = step_batches(12)
    asked = dataclasses.replace(runtime, num_loader_workers=3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    # x_0, x_1, t and progress of 8 samples of 8×8 in float32 take a page of 4096 bytes each. There are two batches for
    # each of three workers and two in use, of each of two processes.
    wanted = 2 * (3 * 2 + 2) * 4 * 4096
    monkeypatch.setattr(loader, "free_shared_memory", lambda: wanted)
    assert num_workers_for(batches, asked) == 3
    monkeypatch.setattr(loader, "free_shared_memory", lambda: wanted - 1)
    with pytest.raises(StraightflowError, match=r"3 worker\(s\) beside each of 2(.|\n)*--shm-size"):
        num_workers_for(batches, asked)
    assert num_workers_for(batches, runtime) == 0
    assert num_workers_for(batches, dataclasses.replace(runtime, num_loader_workers=0)) == 0
    assert not capsys.readouterr().err
