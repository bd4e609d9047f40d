"""``info.json`` of a prepared data set: where its samples come from, how many there are, and what one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from pipeline.config.data import IMAGE_SOURCES, POINT_DIMS, Resolution, height_and_width
from pipeline.config.section import PositiveInt, one_of
from pipeline.system.atomic import write_json
from pipeline.system.typed_content import NO_OTHER_KEYS

INFO = "info.json"


def _grey_or_colour(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError(f"{channels}, where images have 1 (grey) or 3 (RGB)")
    return channels


Channels = Annotated[int, AfterValidator(_grey_or_colour)]
"""Channels of an image; a Literal would take true for 1."""


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """A prepared data set of images or of points; all but the fingerprint is None in that of one made without it.

    Attributes:
        source: As :class:`pipeline.config.data.DataConfig` calls it.
        location: Hub id or path; None for bundled images and for points.
        resolution: Side of square images in pixels, or height and width of others.
        channels: 1 (grey) or 3 (RGB).
        dim: Coordinates of a point.
        num_train: Training samples.
        num_heldout: Held-out samples.
        fingerprint: Of both splits together.
        class_names: Names of classes, in the order of their labels, where the source gives names.
        latent_shape: (channels, height, width) of what is stored, where these are latents of the images that the rest
            speaks of.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    source: Annotated[str, one_of((*IMAGE_SOURCES, *POINT_DIMS))] | None = None
    location: str | None = None
    resolution: Resolution | None = None
    channels: Channels | None = None
    dim: PositiveInt | None = None
    num_train: PositiveInt | None = None
    num_heldout: PositiveInt | None = None
    fingerprint: Annotated[str, Field(min_length=1)]
    class_names: tuple[str, ...] | None = None
    latent_shape: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None

    @model_validator(mode="after")
    def _sizes_are_of_the_source(self) -> Self:
        if self.source is None:
            return self
        dim = POINT_DIMS.get(self.source)
        if self.dim != dim:
            raise ValueError(f"dim: {self.dim}, where {self.source} has {dim}")
        sizes = (self.resolution, self.channels)
        if (dim is None and None in sizes) or (dim is not None and sizes != (None, None)):
            raise ValueError(f"resolution: {sizes[0]}, channels: {sizes[1]}, which {self.source} does not have")
        return self

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """(channels, height, width) of an image or a latent, (dim,) of a point; None if unknown."""
        if self.latent_shape is not None:
            return self.latent_shape
        if self.dim is not None:
            return (self.dim,)
        if self.channels is None or self.resolution is None:
            return None
        return self.channels, *height_and_width(self.resolution)


def write_info(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes ``info.json``, checked as it is when it is read; ValueError if it holds something else."""
    TypeAdapter(DataInfo).validate_python(dict(content))
    write_json(folder / INFO, dict(content))
