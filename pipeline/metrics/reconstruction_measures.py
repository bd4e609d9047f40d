"""What is measured of an autoencoder's reconstructions of held-out images."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.section import NonNegativeFloat, PositiveInt
from pipeline.metrics.image_row import FeaturesName
from pipeline.system.compute import Compute
from pipeline.system.typed_content import NO_OTHER_KEYS


@dataclass(frozen=True)
class ReconstructionRow:
    """Fréchet distances of reconstructions by one kind of features, at equal numbers of images.

    Attributes:
        features: Their name.
        is_judge: Whether nothing may be chosen by them.
        measured_by: As in :class:`pipeline.metrics.image_row.ImageRow`.
        reference: The reference split.
        fid: Of the reconstructed held-out images to the reference split.
        fid_of_images: Of the held-out images themselves to the reference split: the floor of ``fid``; 0 where they are
            the reference.
        fid_to_images: Of the reconstructions to the images that they are of; 0 for an autoencoder without loss.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    features: FeaturesName
    is_judge: bool
    measured_by: str
    reference: str
    fid: float
    fid_of_images: float
    fid_to_images: float


@dataclass(frozen=True)
class ReconstructionQuality:
    """Reconstructions of a set of images; with ``compute`` the content of ``metrics/evaluate/autoencoder.json``.

    Attributes:
        num_images: Held-out images.
        mean_squared_error: Of an entry, in [-1, 1], of the reconstruction before it is rounded to 8 bits.
        rows: One for each kind of features.
        compute: What encoding and decoding them took; None where it was not counted.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    num_images: PositiveInt
    mean_squared_error: NonNegativeFloat
    rows: tuple[ReconstructionRow, ...]
    compute: Compute | None = None
