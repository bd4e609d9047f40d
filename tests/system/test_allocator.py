"""Freed memory that the next tensors use again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ROUNDS, NUM_BLOCKS, BLOCK_BYTES = 20, 32, 4 * 2**20
PROGRAM = f"""
import resource
import torch
from pipeline.system.allocator import keep_freed_memory, release_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        blocks = [torch.zeros({BLOCK_BYTES}, dtype=torch.uint8) for _ in range({NUM_BLOCKS})]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

handed_back = faults()
assert keep_freed_memory()
faults()
kept = faults()
release_freed_memory()
print(handed_back, kept, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is of glibc")
def test_only_what_was_handed_back_comes_as_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    handed_back, kept, released = map(int, done.stdout.split())
    assert handed_back > ROUNDS * NUM_BLOCKS  # at least one page a block, of whatever size
    assert kept < 0.01 * handed_back
    assert released > NUM_BLOCKS
