"""Sets a network's dropout, so that a student does not silently inherit its teacher's."""

from __future__ import annotations

import torch
from diffusers import ModelMixin

from pipeline.flow.noise import derived_key
from pipeline.system.errors import StraightflowError

# By name, since importing diffusers' networks takes a second, which points do without.
RESIDUAL_BLOCKS = ("ResnetBlock2D", "ResnetBlockCondNorm2D")


def set_dropout(network: ModelMixin, probability: float) -> None:
    """Sets the dropout of every residual block, and the value that the saved configuration names, to ``probability``.

    These are the layers that ``UNet2DModel(dropout=…)`` sets, so that the network is the same when it is made anew or
    opened again; attention drops nothing.

    Raises:
        StraightflowError: If the network has no residual blocks and is to drop something.
    """
    if "dropout" not in network.config:
        if probability > 0:
            raise StraightflowError(
                expected=f"dropout: 0 for a {type(network).__name__}, which has no residual blocks to drop from",
                found=str(probability),
                mend="leave dropout out",
            )
        return
    for module in network.modules():
        if type(module).__name__ in RESIDUAL_BLOCKS:
            module.dropout.p = probability
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
