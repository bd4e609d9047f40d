"""The autoencoder of a run on latents: images are encoded before networks see them, and decoded to be looked at."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import PositiveInt, Section

MOST_DOWNSAMPLING = 2**15
"""Of as many levels as a network may have."""


class AutoencoderConfig(Section):
    """The autoencoder that the models of a run make latents of.

    Attributes:
        source: ``teacher``: it lies in the folder of ``teacher.pretrained``, as stock pipelines of latent models save
            it, and is compared with what is said here.
        latent_channels: Channels of a latent.
        downsampling: Side of an image ÷ side of its latent, a power of two.
    """

    source: Literal["teacher"]
    latent_channels: PositiveInt
    downsampling: Annotated[int, Field(gt=0, le=MOST_DOWNSAMPLING)]

    @model_validator(mode="after")
    def _downsampling_is_by_halves(self) -> AutoencoderConfig:
        if self.downsampling & (self.downsampling - 1):
            raise ValueError(f"downsampling is {self.downsampling}; images are halved, so it is 1, 2, 4, 8, …")
        return self

    def latent_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of this shape, whose sides ``downsampling`` divides."""
        _, height, width = image_shape
        return self.latent_channels, height // self.downsampling, width // self.downsampling
