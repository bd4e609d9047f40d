"""What one sample is: an image of pixels, a latent of one, or a point. Code that treats them differently asks here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.config.data import DataConfig, SpaceName
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class Space:
    """A kind of sample, and what follows from it.

    Attributes:
        name: As the configuration and manifests call it.
        noun: What one sample is called in messages.
        axes: Names of the axes of a sample's shape.
        is_bounded: Whether every entry lies in [-1, 1], so that values outside are clipped when stored.
        is_visual: Whether a sample is a picture, or is decoded to one: it can be drawn, image networks extract its
            features, and one whose entries are all equal is an error.
        is_decoded: Whether an autoencoder makes its pictures.
    """

    name: SpaceName | Literal["latents"]
    noun: str
    axes: tuple[str, ...]
    is_bounded: bool
    is_visual: bool
    is_decoded: bool = False

    @property
    def shape_in_words(self) -> str:
        """The axes of a sample, for messages."""
        return f"({', '.join(self.axes)})"


PIXELS = Space("pixels", "image", ("channels", "height", "width"), is_bounded=True, is_visual=True)
POINTS = Space("points", "point", ("dim",), is_bounded=False, is_visual=False)
LATENTS = Space("latents", "latent", ("channels", "height", "width"), is_bounded=False, is_visual=True, is_decoded=True)
SPACES = (PIXELS, POINTS)
"""The spaces of data, which its shape tells apart. Latents are of a model: it has an autoencoder, or has none."""


def space_of(data: DataConfig) -> Space:
    """The space of the configured data."""
    return next(space for space in SPACES if space.name == data.space)


def space_of_shape(shape: tuple[int, ...]) -> Space:
    """The space of data of ``shape``, or of a model's samples where it has no autoencoder.

    Raises:
        StraightflowError: If no space of data has samples with so many axes.
    """
    for space in SPACES:
        if len(space.axes) == len(shape):
            return space
    raise StraightflowError(
        expected=f"samples of shape {' or '.join(space.shape_in_words for space in SPACES)}",
        found=str(shape),
        mend="name a model or data of images or of points",
    )
