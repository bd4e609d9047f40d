"""Architecture of an autoencoder trained here."""

from __future__ import annotations

from pydantic import model_validator

from pipeline.config.network import LayerCount, LevelChannels, require_whole_groups
from pipeline.config.section import PositiveInt, Section


class AutoencoderNetworkConfig(Section):
    """Architecture of a ``diffusers.AutoencoderKL`` trained here.

    Attributes:
        block_out_channels: Channels at each resolution, finest first; between two of them the side is halved.
        layers_per_block: Residual blocks per resolution of the encoder; the decoder has one more.
        norm_num_groups: Groups of every group norm.
    """

    block_out_channels: LevelChannels
    layers_per_block: LayerCount
    norm_num_groups: PositiveInt

    @model_validator(mode="after")
    def _groups_divide(self) -> AutoencoderNetworkConfig:
        require_whole_groups(self.block_out_channels, self.norm_num_groups)
        return self

    @property
    def downsampling(self) -> int:
        """Sides of an image divided by those of its latent."""
        return 1 << (len(self.block_out_channels) - 1)
