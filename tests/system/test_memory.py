from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.system.errors import StraightflowError
from pipeline.system.memory import memory_at_hand, memory_error, require_memory

WORDS = [
    "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "25600000000 bytes. Error code 12 (Cannot allocate memory)",
    "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "std::bad_alloc",
]


def system(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        *map(RuntimeError, WORDS),
    ],
    ids=lambda error: str(error)[:20],
)
def test_every_kind_is_one_message(error: Exception) -> None:
    told = memory_error(error)
    assert told is not None
    assert "--num" in told.mend
    assert (str(error) or "more than this process could get") in told.found
    wrapped = StraightflowError(expected="a readable model", found="x", mend="save it again")
    wrapped.__cause__ = error
    assert memory_error(wrapped) is not None


@pytest.mark.parametrize(
    "ask",
    [
        lambda: np.empty((2**40, 2**20)),
        lambda: np.empty((2**62, 8)),
        lambda: np.empty(2**70),
        lambda: torch.empty(2**59),
        lambda: torch.empty(2**62, 2**62),
        lambda: [0] * 2**60,
        lambda: [0] * 2**70,
        lambda: bytearray(2**60),
    ],
)
def test_what_libraries_raise_for_more_than_any_machine_has(ask) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (of many types, which is the point)
        ask()
    assert memory_error(caught.value) is not None


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("no"), OSError(28, "No space")])
def test_other_errors_are_no_concern_of_memory(error: Exception) -> None:
    assert memory_error(error) is None


def test_memory_at_hand_is_the_least_that_anything_leaves(tmp_path: Path) -> None:
    assert memory_at_hand(tmp_path) is None
    system(tmp_path, proc__meminfo="MemTotal: 900 kB\nMemAvailable:     800 kB\n")
    assert memory_at_hand(tmp_path) == 800 * 1024
    system(tmp_path, proc__self__cgroup="0::/jobs/mine\n")
    for group, limit, used in (("jobs/mine", "max", "5"), ("jobs", "500000", "300000")):
        folder = tmp_path / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {
            "memory.max": f"{limit}\n",
            "memory.current": f"{used}\n",
            "memory.stat": "anon 1\ninactive_file 100000\n",
        }.items():
            (folder / name).write_text(content)
    assert memory_at_hand(tmp_path) == 500_000 - 300_000 + 100_000


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    system(tmp_path, proc__self__cgroup="5:cpu,memory:/\n3:devices:/x\n")
    folder = tmp_path / "sys/fs/cgroup/memory"
    folder.mkdir(parents=True)
    for name, content in {
        "limit_in_bytes": "1000\n",
        "usage_in_bytes": "400\n",
        "stat": "total_inactive_file 50\n",
    }.items():
        (folder / f"memory.{name}").write_text(content)
    assert memory_at_hand(tmp_path) == 650


def test_the_limit_of_the_process_counts(tmp_path: Path, monkeypatch) -> None:
    system(tmp_path, proc__self__status="VmSize:\t  3 kB\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10_000, 20_000))
    assert memory_at_hand(tmp_path) == 10_000 - 3 * 1024


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch) -> None:
    monkeypatch.setattr("pipeline.system.memory.memory_at_hand", lambda: 2_000_000_000)
    require_memory(2_000_000_000, wanted_by="it", mend="less")
    with pytest.raises(StraightflowError, match=r"it, 2\.5 GB at least\n.*2\.0 GB at hand"):
        require_memory(2_500_000_000, wanted_by="it", mend="less")
