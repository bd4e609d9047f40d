"""Workers that make batches ahead: the same batches, a SIGTERM that reaches them all, and their end."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import closing

import pytest
import torch
from helpers.small_training import OBJECTIVE, Pairs, training_config

from pipeline.training.loader import batches_from
from pipeline.training.samples import StepBatches

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


def test_workers_outlive_a_sigterm_sent_to_every_process_and_end_with_the_loop() -> None:
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
                        os.kill(worker.pid, signal.SIGTERM)
                if step == 35:
                    raise InterruptedError
        return 0

    with pytest.raises(InterruptedError) as error:
        interrupted()
    # Though the error still holds the loop that used them.
    assert error.traceback
    assert not workers()
