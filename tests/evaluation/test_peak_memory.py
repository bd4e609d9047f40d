from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline.evaluation.peak_memory as peak_memory
from pipeline.evaluation.peak_memory import can_reset_peak_memory, peak_memory_mib, reset_peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(not can_reset_peak_memory(), reason="this kernel does not reset the peak of a process")
def test_the_peak_is_that_since_the_reset() -> None:
    reset_peak_memory(CPU)
    before = peak_memory_mib(CPU)
    assert before is not None
    block = np.ones(256 * 2**20, dtype=np.uint8)
    during = peak_memory_mib(CPU)
    assert during is not None
    assert during - before > 200
    del block
    reset_peak_memory(CPU)
    after = peak_memory_mib(CPU)
    assert after is not None
    assert during - after > 200


def test_where_the_peak_cannot_be_reset_none_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(peak_memory, "_RESET", tmp_path / "absent")
    reset_peak_memory(CPU)
    assert peak_memory_mib(CPU) is None
