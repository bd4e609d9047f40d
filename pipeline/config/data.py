"""Where real images come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import NonNegativeInt, PositiveInt, Section


class DataConfig(Section):
    """Real images.

    Attributes:
        source: ``digits`` (bundled with scikit-learn), ``hub`` (a dataset id), ``folder`` (of image files,
            optionally one subfolder per label) or ``parquet`` (a file, or a folder of ``<split>.parquet``).
        location: Hub id or path; null for ``digits``.
        subset: Configuration of a ``hub`` data set that has several; null takes its only one.
        image_column: Column with images; null takes the only image column.
        label_column: Column with integer labels; null takes ``label`` where there is one.
        train_split: Name of the split to train on (``hub`` and ``parquet``).
        heldout_split: Name of the split held out; null holds out a share of the training split.
        heldout_share: Share of images held out when ``heldout_split`` is null.
        resolution: Height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        seed: Seed of the held-out choice.
    """

    source: Literal["digits", "hub", "folder", "parquet"]
    location: str | None
    subset: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    train_split: str = "train"
    heldout_split: str | None = None
    heldout_share: Annotated[float, Field(gt=0, lt=1)]
    resolution: PositiveInt
    channels: Literal[1, 3]
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _location_matches_source(self) -> DataConfig:
        if self.source == "digits" and self.location is not None:
            raise ValueError("data.location must be null for source 'digits'")
        if self.source != "digits" and not self.location:
            raise ValueError(f"data.location must name a {self.source} location")
        return self
