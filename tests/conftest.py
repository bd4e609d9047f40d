"""Shared small models; nothing here touches the network."""

from __future__ import annotations

import os
from collections.abc import Iterator

# One thread for each of the processes among which pytest-xdist divides the tests, and for those that they start. It is
# read when torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from diffusers import UNet2DModel
from helpers.small_unet import small_unet

from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.models.runtime import Runtime, open_runtime


@pytest.fixture
def runtime() -> Runtime:
    return open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)


@pytest.fixture
def tiny_unet() -> UNet2DModel:
    return small_unet()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of one thread, as in the processes that a test starts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, or the other processes would wait for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_whole_run.py")
