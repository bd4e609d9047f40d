"""torch's global generator, for code that draws from it and takes no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws on the CPU come from ``seed`` inside the block, and go on as if it had not been after it.

    Generators of GPUs are left alone: to save and seed them takes memory of every GPU that can be seen.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
