"""Where real images, or points, come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import NonNegativeInt, PathText, PositiveInt, Section, Seed, one_of

SpaceName = Literal["pixels", "points"]

IMAGE_SOURCES = ("digits", "hub", "folder", "parquet")
POINT_DIMS = {"two_gaussians": 2, "bimodal_1d": 1, "checkerboard": 2, "eight_gaussians": 2, "two_moons": 2}


Resolution = PositiveInt | tuple[PositiveInt, PositiveInt]
"""Side of square images in pixels, or (height, width) of others."""


def height_and_width(resolution: Resolution) -> tuple[int, int]:
    """Both sides of images of this resolution."""
    return (resolution, resolution) if isinstance(resolution, int) else resolution


NUM_DIGITS = 1797
"""Images that are bundled with scikit-learn."""


class DataConfig(Section):
    """Real images, or points of a known distribution.

    Attributes:
        source: ``digits`` (bundled with scikit-learn), ``hub`` (a dataset id), ``folder`` (of image files,
            see :mod:`pipeline.data.folder_images`) or ``parquet`` (a file, or a folder of ``<split>.parquet``); or a
            distribution of points, see :mod:`pipeline.toys.distributions`.
        location: Hub id or path; null for ``digits`` and points.
        subset: Configuration of a ``hub`` data set that has several; null takes its only one.
        image_column: Column with images; null takes the only image column.
        label_column: Column with labels, integers from 0 or names; null takes ``label`` if there is one, else for a
            folder one class per subfolder.
        train_split: Name of the split to train on; in a folder ``train`` is all of it, another name is a subfolder.
        heldout_split: Name of the split held out; null holds out a share of the training split.
        heldout_share: Share of images held out when ``heldout_split`` is null.
        resolution: Side of square images in pixels, or height and width of others; null for points.
        channels: 1 (grey) or 3 (RGB); null for points.
        padding: Rows and columns of 0 (black) put around every image that is read, on each side; ``resolution`` counts
            them. LeCun et al. 1998 put MNIST's 28×28 digits on 32×32, whose sides are halved more often.
        num_points: Points drawn, including held-out ones; null for images.
        seed: Seed of the held-out choice, and of points.
    """

    source: Annotated[str, one_of((*IMAGE_SOURCES, *POINT_DIMS))]
    location: PathText | None
    subset: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    train_split: str = "train"
    heldout_split: str | None = None
    heldout_share: Annotated[float, Field(gt=0, lt=1)]
    resolution: Resolution | None
    channels: Literal[1, 3] | None
    padding: NonNegativeInt = 0
    num_points: PositiveInt | None = None
    seed: Seed

    @model_validator(mode="after")
    def _location_matches_source(self) -> DataConfig:
        bundled = self.source == "digits" or self.space == "points"
        if bundled and self.location is not None:
            raise ValueError(f"data.location must be null for source {self.source!r}")
        if not bundled and not self.location:
            raise ValueError(f"data.location must name a {self.source} location")
        return self

    @model_validator(mode="after")
    def _splits_match_source(self) -> DataConfig:
        if self.subset is not None and self.source != "hub":
            raise ValueError(f"data.subset must be null for source {self.source!r}; only data sets on the hub have one")
        if self.heldout_split == self.train_split:
            raise ValueError(
                f"data.heldout_split and data.train_split are both {self.train_split!r}; nothing would be held out"
            )
        if self.heldout_split is not None and (self.source == "digits" or self.space == "points"):
            raise ValueError(f"source {self.source!r} has one split; set data.heldout_split to null")
        return self

    @model_validator(mode="after")
    def _sizes_match_source(self) -> DataConfig:
        sizes = (self.resolution, self.channels)
        points = self.space == "points"
        if points and (sizes != (None, None) or self.num_points is None):
            raise ValueError(f"source {self.source!r} takes num_points, and null for resolution and channels")
        if not points and (None in sizes or self.num_points is not None):
            raise ValueError(f"source {self.source!r} takes resolution and channels, and null for num_points")
        sizes_of_splits = self.known_split_sizes
        if sizes_of_splits is not None and min(sizes_of_splits) < 2:
            raise ValueError(
                f"heldout_share {self.heldout_share} leaves {sizes_of_splits[0]} training and {sizes_of_splits[1]} "
                "held-out samples; each split needs two"
            )
        return self

    @model_validator(mode="after")
    def _equal_sides_are_one_number(self) -> DataConfig:
        if isinstance(self.resolution, tuple) and self.resolution[0] == self.resolution[1]:
            raise ValueError(f"data.resolution is {list(self.resolution)}; give {self.resolution[0]} for square images")
        return self

    @model_validator(mode="after")
    def _padding_leaves_an_image(self) -> DataConfig:
        if not self.padding:
            return self
        if self.source not in ("hub", "folder", "parquet"):
            raise ValueError(f"data.padding is for images that are read; leave it out for source {self.source!r}")
        if 2 * self.padding >= min(self.image_shape[1:]):
            raise ValueError(f"data.padding {self.padding} on each side leaves nothing of images of {self.resolution}")
        return self

    @property
    def known_split_sizes(self) -> tuple[int, int] | None:
        """Sizes of the training and the held-out split if the configuration alone decides them, else None."""
        if self.source == "digits":
            return split_sizes(NUM_DIGITS, self.heldout_share)
        return None if self.num_points is None else split_sizes(self.num_points, self.heldout_share)

    @property
    def space(self) -> SpaceName:
        """What a sample is, see :mod:`pipeline.data.space`."""
        return "points" if self.source in POINT_DIMS else "pixels"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of an image, (dim,) of a point."""
        if self.space == "points":
            return (POINT_DIMS[self.source],)
        return self.image_shape

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        assert self.channels is not None  # validated
        assert self.resolution is not None
        return self.channels, *height_and_width(self.resolution)


def size_read(config: DataConfig) -> tuple[int, int]:
    """(height, width) of images before they are padded."""
    _, height, width = config.image_shape
    return height - 2 * config.padding, width - 2 * config.padding


def split_sizes(num: int, heldout_share: float) -> tuple[int, int]:
    """Numbers of training and held-out samples when a share of ``num`` samples is held out."""
    num_heldout = round(num * heldout_share)
    return num - num_heldout, num_heldout
