"""The benchmarks' own stand-ins keep up with what they stand in for; nothing is timed."""

from __future__ import annotations

import torch

from benchmarks.training import ours


def test_the_training_benchmark_times_blocks_of_the_loop(tiny_unet, runtime) -> None:
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seconds = ours(tiny_unet, images, 4, runtime, blocks=2, steps=1)
    assert len(seconds) == 2
    assert min(seconds) > 0
