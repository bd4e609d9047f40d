"""Architectures that are trained here: what all with levels and group norms must keep."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.autoencoder_network import AutoencoderNetworkConfig
from pipeline.config.network import UNetConfig

UNET = {"attention": (False, False), "attention_head_dim": 4, "dropout": 0.0}


@pytest.mark.parametrize(("kind", "others"), [(UNetConfig, UNET), (AutoencoderNetworkConfig, {})])
def test_groups_of_norms_divide_the_channels_of_every_level(kind: Any, others: dict[str, Any]) -> None:
    levels = {"block_out_channels": (8, 12), "layers_per_block": 1}
    for groups in (1, 2, 4):  # the common divisors of 8 and 12
        kind(**levels, **others, norm_num_groups=groups)
    with pytest.raises(ValidationError, match="norm_num_groups=8 must divide every entry of block_out_channels, 12"):
        kind(**levels, **others, norm_num_groups=8)
    with pytest.raises(ValidationError, match="norm_num_groups=6 must divide every entry of block_out_channels, 8"):
        kind(**levels, **others, norm_num_groups=6)


@pytest.mark.parametrize(("kind", "others"), [(UNetConfig, UNET), (AutoencoderNetworkConfig, {})])
@pytest.mark.parametrize("channels", [(), (8,) * 17, (8, 0)])
def test_levels_are_some_but_not_many_and_none_is_empty(
    kind: Any, others: dict[str, Any], channels: tuple[int, ...]
) -> None:
    with pytest.raises(ValidationError, match="block_out_channels"):
        kind(**others, block_out_channels=channels, layers_per_block=1, norm_num_groups=1)
