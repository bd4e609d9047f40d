"""One measured cell of the few-step table of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.config.section import FiniteFloat, NonNegativeFloat, PositiveInt, Seed, UnitFloat, one_of
from pipeline.metrics.row import Row
from pipeline.metrics.uncertainty import NUM_PARTS, Estimate, independent_ratio, paired_ratio

COMPARED = ("features", "reference", "measured_by", "num_samples")
"""Columns that must be equal where two FIDs are compared."""

TRAINED_HERE = ("classifier", "rotation")
"""What names of features begin with whose network was trained in the run."""

FILE = "file"
"""In place of a split's name, where the reference is a file of statistics."""
SplitName = Annotated[str, one_of(("train", "heldout", FILE))]
HashStart = Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
FeaturesName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


@dataclass(frozen=True)
class ImageRow(Row):
    """One measured cell by one kind of features, with everything that its FID depends on.

    Attributes:
        features: Name of the features.
        is_judge: Whether these features judge alone: nothing was chosen or trained by them.
        measured_by: Hash of the features' network and of the reference images; FIDs of other hashes do not compare.
        reference: Name of the reference split; ``file`` for statistics of a number of images that is not known.
        seed: Seed of the noise; the cell's noises are its first ``num_samples · num_chunks``.
        num_samples: Generated images that a FID is of.
        num_chunks: Disjoint sets of so many images that ``fid`` is the mean of.
        fid: Fréchet distance of features to those of the reference split, ≥ 0.
        fid_low: Lower end of its 95 % interval, see :mod:`pipeline.metrics.uncertainty`; None if unknown.
        fid_high: Upper end.
        fid_infinity: FID of infinitely many samples; None if there are fewer than three for each feature.
        fid_infinity_low: Lower end of its 95 % interval.
        fid_infinity_high: Upper end.
        fid_heldout: FID against the held-out split.
        fid_heldout_floor: FID of the training split against the held-out split, at the training split's own size.
        kid: Kernel distance (Bińkowski et al. 2018) of features divided by the reference's standard deviations, 0 in
            expectation for equal distributions; below 0 where images are closer to the reference's own images than
            other images of its distribution would be.
        kid_std: Its standard error, the reference held fixed.
        kid_samples: Generated images that it is of.
        precision: In [0, 1] (Kynkäänniemi et al. 2019).
        recall: In [0, 1].
        density: ≥ 0 (Naeem et al. 2020).
        coverage: In [0, 1] (Naeem et al. 2020).
        neighbour_samples: Generated images, and as many of the reference, that these four are of.
        nearest_train_ratio: Median pixel distance to the nearest training image, divided by that of held-out images;
            well below 1 if training images are memorised; None if held-out images are copies of training images.
        seconds_per_1000: Seconds of sampling per 1,000 images, added up over processes; None for couplings.
        nfe_std: Standard deviation of network calls over images; 0 for fixed steps, None for couplings.
        peak_memory_mib: Most memory held while sampling: of the GPU, or of the process on a CPU.
        fid_deviations: What the interval of a ratio is computed from, see
            :class:`pipeline.metrics.uncertainty.Jackknifed`; not in tables.
    """

    features: FeaturesName
    is_judge: bool
    measured_by: HashStart
    reference: SplitName
    seed: Seed
    num_samples: PositiveInt
    num_chunks: PositiveInt
    fid: NonNegativeFloat
    fid_low: FiniteFloat | None
    fid_high: FiniteFloat | None
    fid_infinity: FiniteFloat | None = None
    fid_infinity_low: FiniteFloat | None = None
    fid_infinity_high: FiniteFloat | None = None
    fid_heldout: NonNegativeFloat | None = None
    fid_heldout_floor: NonNegativeFloat | None = None
    kid: FiniteFloat | None = None
    kid_std: NonNegativeFloat | None = None
    kid_samples: PositiveInt | None = None
    precision: UnitFloat | None = None
    recall: UnitFloat | None = None
    density: NonNegativeFloat | None = None
    coverage: UnitFloat | None = None
    neighbour_samples: PositiveInt | None = None
    nearest_train_ratio: NonNegativeFloat | None = None
    seconds_per_1000: NonNegativeFloat | None = None
    nfe_std: NonNegativeFloat | None = None
    peak_memory_mib: NonNegativeFloat | None = None
    fid_deviations: tuple[FiniteFloat, ...] = field(default=(), metadata={"column": False})

    @property
    def fid_estimate(self) -> Estimate | None:
        """``fid`` with its interval; None if that is unknown."""
        known = self.fid_low is not None and self.fid_high is not None
        return Estimate(self.fid, self.fid_low or 0.0, self.fid_high or 0.0) if known else None

    @property
    def key(self) -> tuple[object, ...]:
        """The cell with features and number of samples, which is unique in a table."""
        return (*self.cell, self.features, self.num_samples)

    @model_validator(mode="after")
    def _interval_is_of_the_fid(self) -> Self:
        interval = self.fid_estimate
        if (self.fid_low is None) != (self.fid_high is None):
            raise ValueError("fid_low: one end of an interval without the other")
        if interval is not None and not interval.low <= self.fid <= interval.high:
            raise ValueError(f"fid_low: [{interval.low}, {interval.high}] does not hold the fid {self.fid}")
        if self.fid_deviations and len(self.fid_deviations) != NUM_PARTS * self.num_chunks:
            raise ValueError(f"fid_deviations: {len(self.fid_deviations)}, of {self.num_chunks} chunks")
        return self

    @model_validator(mode="after")
    def _sampling_is_of_models(self) -> Self:
        sampling = {"seconds_per_1000": self.seconds_per_1000, "nfe_std": self.nfe_std}
        sampling["peak_memory_mib"] = self.peak_memory_mib
        given = [name for name, value in sampling.items() if value is not None]
        if self.is_couplings and given:
            raise ValueError(f"{given[0]}: {sampling[given[0]]} of couplings, which are not sampled")
        if self.num_steps is not None and self.nfe_std:
            raise ValueError(f"nfe_std: {self.nfe_std}, where all samples take the same fixed steps")
        return self


def differences(a: ImageRow, b: ImageRow) -> tuple[str, ...]:
    """Why the FIDs of two rows do not compare: columns of :data:`COMPARED` that differ; empty if they do compare."""
    return tuple(name for name in COMPARED if getattr(a, name) != getattr(b, name))


def fid_ratio(numerator: ImageRow, denominator: ImageRow) -> Estimate | None:
    """Ratio of the FIDs of two rows that compare, with its interval; None if a spread is unknown or a FID is not > 0.

    Rows of one seed share their noises, so what these have done to both cancels. Couplings have noises of their own.

    Raises:
        ValueError: If the rows do not compare.
    """
    if differences(numerator, denominator):
        raise ValueError(f"rows differ in {', '.join(differences(numerator, denominator))}")
    if min(numerator.fid, denominator.fid) <= 0:
        return None
    if _share_noises(numerator, denominator):
        above, below = numerator.fid_deviations, denominator.fid_deviations
        return paired_ratio(numerator.fid, denominator.fid, above, below, numerator.num_chunks)
    above_fid, below_fid = numerator.fid_estimate, denominator.fid_estimate
    return None if above_fid is None or below_fid is None else independent_ratio(above_fid, below_fid)


def _share_noises(a: ImageRow, b: ImageRow) -> bool:
    """Whether both start from the same noises, and what leaving some of them out does is known of both."""
    are_models = not a.is_couplings and not b.is_couplings
    known = len(a.fid_deviations) == len(b.fid_deviations) > 0
    return are_models and known and (a.seed, a.num_chunks) == (b.seed, b.num_chunks)
