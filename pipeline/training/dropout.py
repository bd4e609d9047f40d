"""Sets a network's dropout, so that a student does not silently inherit its teacher's."""

from __future__ import annotations

import torch
from diffusers import ModelMixin

from pipeline.flow.noise import derived_key
from pipeline.models.kinds import kind_of
from pipeline.system.errors import StraightflowError


def set_dropout(network: ModelMixin, probability: float) -> None:
    """Sets the dropout of a network, and the value that the saved configuration names, to ``probability``.

    These are the layers that the setting of its class sets, so that the network is the same when it is made anew or
    opened again.

    Raises:
        StraightflowError: If its class has no such setting and it is to drop something.
    """
    if "dropout" not in network.config:
        if probability > 0:
            raise StraightflowError(
                expected=f"dropout: 0 for a {type(network).__name__}, which drops nothing",
                found=str(probability),
                mend="leave dropout out",
            )
        return
    for layer in kind_of(network).dropout_layers(network):
        layer.p = probability
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
