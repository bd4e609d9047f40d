"""Sets a network's dropout, so that a student does not silently inherit its teacher's."""

from __future__ import annotations

import torch
from diffusers import ModelMixin

from pipeline.flow.noise import derived_key


def set_dropout(network: ModelMixin, probability: float) -> None:
    """Sets every dropout layer of ``network``, and the value its saved configuration names, to ``probability``."""
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
    if "dropout" in network.config:
        network.register_to_config(dropout=probability)


def has_dropout(network: torch.nn.Module) -> bool:
    """Whether any layer drops something while training."""
    return any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in network.modules())


def seed_dropout(seed: int, step: int, rank: int) -> None:
    """Seeds torch's global generators, which dropout draws from, as a function of (seed, step, rank).

    A resumed run thus drops the same units as an uninterrupted one; ranks drop different units. Call it where the
    global generators are forked.
    """
    torch.manual_seed(derived_key(f"dropout/{seed}/{step}/{rank}", 32))
