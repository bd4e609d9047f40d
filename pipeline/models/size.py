"""How large a configured network is, counted without making it, and whether the machine can hold it."""

from __future__ import annotations

import torch

from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.models.architecture import fresh_network
from pipeline.system.errors import StraightflowError
from pipeline.system.memory import memory_error, require_memory

WEIGHTS_BYTES = 4
"""Bytes per parameter of a float32 network alone."""
TRAINING_BYTES = 16
"""The least with which one process trains it: with gradients, one moment (Muon's; AdamW has two) and one average."""

_MEND = "lower the channels, the width or the number of layers of the network, or use a machine with more memory"


def num_parameters(config: UNetConfig | MLPConfig, shape: tuple[int, ...], num_classes: int | None = None) -> int:
    """Parameters of a network for samples of ``shape``; no memory is taken for them.

    Raises:
        StraightflowError: If a layer has more than any memory holds.
    """
    try:
        with torch.device("meta"):
            network = fresh_network(config, shape, num_classes)
    except (RuntimeError, OverflowError, MemoryError) as error:
        if memory_error(error) is None:
            raise
        raise StraightflowError(
            expected="a network that some memory can hold",
            found=f"a layer of more than 2^63 bytes: {config}",
            mend=_MEND,
        ) from None
    return sum(parameter.numel() for parameter in network.parameters())


def require_network_fits(
    config: UNetConfig | MLPConfig, shape: tuple[int, ...], bytes_per_parameter: int, num_classes: int | None = None
) -> None:
    """Raises StraightflowError if a network takes more memory than is at hand.

    Args:
        config: Its architecture.
        shape: Of the samples.
        bytes_per_parameter: ``WEIGHTS_BYTES`` to make it, ``TRAINING_BYTES`` to train it.
        num_classes: Classes that it is conditioned on; None for none.
    """
    count = num_parameters(config, shape, num_classes)
    require_memory(count * bytes_per_parameter, wanted_by=f"a network of {count:,} parameters", mend=_MEND)
