"""Architectures of networks trained here: a UNet for images, a multilayer perceptron for points."""

from __future__ import annotations

from itertools import compress
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.config.section import PositiveFloat, PositiveInt, Section

LayerCount = Annotated[int, Field(gt=0, le=100)]
"""Layers are built one by one, so that a number without a bound could take hours and all memory."""
OctaveCount = Annotated[int, Field(ge=0, le=64)]
"""Float32 resolves no frequency far above 2^24 of the lowest."""

MOST_LEVELS = 16
"""Most resolutions of a UNet; each halves the side of images."""
LevelChannels = Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=MOST_LEVELS)]
"""Channels at each resolution, finest first."""


class UNetConfig(Section):
    """Architecture of a ``diffusers.UNet2DModel`` trained here.

    Attributes:
        block_out_channels: Channels at each resolution, finest first.
        layers_per_block: Residual blocks per resolution.
        attention: Whether each resolution has self-attention.
        norm_num_groups: Groups of every group norm.
        attention_head_dim: Channels per attention head.
        dropout: Dropout probability while training, in every residual block, before its second convolution (as in Ho
            et al. 2020); attention drops nothing.
    """

    block_out_channels: LevelChannels
    layers_per_block: LayerCount
    attention: tuple[bool, ...]
    norm_num_groups: PositiveInt
    attention_head_dim: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _levels_agree(self) -> UNetConfig:
        if len(self.attention) != len(self.block_out_channels):
            raise ValueError(
                f"attention has {len(self.attention)} entries, block_out_channels has "
                f"{len(self.block_out_channels)}; give one per resolution"
            )
        require_whole_groups(self.block_out_channels, self.norm_num_groups)
        # The middle block always has attention, at the coarsest level's width.
        for channels in {*compress(self.block_out_channels, self.attention), self.block_out_channels[-1]}:
            if channels % self.attention_head_dim:
                raise ValueError(
                    f"attention_head_dim={self.attention_head_dim} must divide the channels of every level that "
                    f"attends, and of the last, {channels} found"
                )
        return self

    @property
    def side_divisor(self) -> int:
        """Divisor that the side of images must have, as a UNet halves them between its levels."""
        return 1 << (len(self.block_out_channels) - 1)


class MLPConfig(Section):
    """Architecture of a :class:`pipeline.models.velocity_mlp.VelocityMLP` trained here, for points.

    Attributes:
        width: Units of each hidden layer.
        num_layers: Hidden layers.
        fourier_octaves: Frequencies for every entry of a point, each twice the one before; 0 leaves them out.
        longest_wavelength: Wavelength of the lowest of them.
    """

    width: PositiveInt
    num_layers: LayerCount
    fourier_octaves: OctaveCount
    longest_wavelength: PositiveFloat


def require_whole_groups(block_out_channels: tuple[int, ...], norm_num_groups: int) -> None:
    """Raises ValueError if the channels of a level are not divided by the number of groups of its norms."""
    for channels in block_out_channels:
        if channels % norm_num_groups:
            raise ValueError(
                f"norm_num_groups={norm_num_groups} must divide every entry of block_out_channels, {channels} found"
            )
