"""How many workers there is room for, with given numbers."""

from __future__ import annotations

import pytest
import torch

from pipeline.system.errors import StraightflowError
from pipeline.training.shared_memory import choose_num_workers, shared_bytes, wanted_shared_memory

DOCKER = 64 * 2**20


@pytest.mark.parametrize(
    ("asked", "on_gpu", "batch_mib", "num_processes", "free", "expected"),
    [
        (None, False, 1, 1, DOCKER, 0),
        (None, True, 1, 1, DOCKER, 4),
        (None, True, 6, 1, DOCKER, 4),  # 10 batches of 6 MiB
        (None, True, 7, 1, DOCKER, 0),
        (None, True, 6, 2, DOCKER, 0),
        (None, True, 7, 1, None, 4),
        (0, True, 1000, 8, 0, 0),
        (2, False, 10, 1, DOCKER, 2),  # 6 batches of 10 MiB
        (2, True, 1000, 8, None, 2),
    ],
)
def test_workers_are_those_that_have_room(asked, on_gpu, batch_mib, num_processes, free, expected) -> None:
    found = choose_num_workers(
        asked, on_gpu=on_gpu, batch_bytes=batch_mib * 2**20, num_processes=num_processes, free_bytes=free
    )
    assert found == expected


def test_asking_for_more_than_there_is_room_for_names_the_way_out() -> None:
    # (2 · 2 + 2) batches of 11 MiB in 64 MiB.
    with pytest.raises(StraightflowError, match=r"69 MB free in /dev/shm(.|\n)*found: 67 MB(.|\n)*--shm-size"):
        choose_num_workers(2, on_gpu=True, batch_bytes=11 * 2**20, num_processes=1, free_bytes=DOCKER)


def test_a_batch_takes_whole_pages_and_whole_storages() -> None:
    assert shared_bytes({"t": torch.zeros(3), "x_1": torch.zeros(2000)}) == 4096 + 8192
    assert shared_bytes({"x_1": torch.zeros(4096)[:1]}) == 16384
    assert wanted_shared_memory(10, 0, 8) == 0
