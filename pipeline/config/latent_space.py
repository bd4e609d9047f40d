"""The size of latents beside that of their images: what models of latents and their autoencoder agree on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.config.section import PositiveInt, Section

MOST_DOWNSAMPLING = 2**15
"""Of as many levels as a network may have."""


class LatentSpaceConfig(Section):
    """The latents of an autoencoder.

    Attributes:
        latent_channels: Channels of a latent.
        downsampling: Side of an image ÷ side of its latent, a power of two.
    """

    latent_channels: PositiveInt
    downsampling: Annotated[int, Field(gt=0, le=MOST_DOWNSAMPLING)]

    @model_validator(mode="after")
    def _downsampling_is_by_halves(self) -> LatentSpaceConfig:
        if self.downsampling & (self.downsampling - 1):
            raise ValueError(f"downsampling is {self.downsampling}; images are halved, so it is 1, 2, 4, 8, …")
        return self

    def latent_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of this shape, whose sides ``downsampling`` divides."""
        _, height, width = image_shape
        return self.latent_channels, height // self.downsampling, width // self.downsampling
