from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from pipeline.evaluation.peak_memory import peak_memory_mib, reset_peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
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
