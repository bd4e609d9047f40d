"""The kinds of networks that are opened, each an adapter in a file of its own.

A further kind is one such file, its line in ``KINDS`` and a row of ``tests/test_teacher_matrix.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import ModelMixin

from pipeline.models.kinds.dit import DiTKind
from pipeline.models.kinds.kind import NetworkKind
from pipeline.models.kinds.sd3 import SD3Kind
from pipeline.models.kinds.unet import UNetKind
from pipeline.models.kinds.unet_condition import UNetConditionKind
from pipeline.models.kinds.velocity_mlp import VelocityMLPKind
from pipeline.models.prompted import bare
from pipeline.system.errors import StraightflowError

KINDS: tuple[NetworkKind, ...] = (UNetKind(), VelocityMLPKind(), DiTKind(), UNetConditionKind(), SD3Kind())
NETWORK_PARTS = tuple(dict.fromkeys(kind.part for kind in KINDS))
"""Subfolders of a saved pipeline that its network may lie in."""


def read_kind(config: Mapping[str, Any], origin: str) -> NetworkKind:
    """The kind of a saved network.

    Args:
        config: Content of its ``config.json``.
        origin: Names it in errors.

    Raises:
        StraightflowError: If it is of none that is known.
    """
    for kind in KINDS:
        if kind.takes(config):
            return kind
    raise StraightflowError(
        expected=f"a network of a known kind in {origin}: {', '.join(sorted(kind.class_name for kind in KINDS))}",
        found=str(config.get("_class_name"))[:80],
        mend="name another model",
    )


def kind_of(network: ModelMixin) -> NetworkKind:
    """The kind of a network that was opened or built here."""
    return read_kind({"_class_name": type(bare(network)).__name__}, "memory")
