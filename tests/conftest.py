"""Shared small models; nothing here touches the network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from diffusers import UNet2DModel

from pipeline.compute import Runtime, open_runtime
from pipeline.config import ONE_PROCESS, ComputeConfig


@pytest.fixture
def runtime() -> Runtime:
    return open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)


@pytest.fixture
def tiny_unet() -> UNet2DModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        ).eval()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of one thread, as in the processes that a test starts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
