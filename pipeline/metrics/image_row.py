"""One measured cell of the few-step table of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.config.section import FiniteFloat, NonNegativeFloat, PositiveInt, Seed, UnitFloat, one_of
from pipeline.metrics.row import Row

SplitName = Annotated[str, one_of(("train", "heldout"))]
FeaturesName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


@dataclass(frozen=True)
class ImageRow(Row):
    """One measured cell, with everything that its FID depends on.

    Attributes:
        fid: Fréchet distance of features to those of the reference split, ≥ 0; the mean over seeds.
        features: Name of the features.
        num_samples: Number of generated images per seed.
        reference: Name of the reference split.
        seed: First seed of the noise; all columns but the FIDs are measured on its samples.
        seconds_per_1000: Seconds of sampling per 1,000 images, added up over processes; None for couplings.
        nfe_std: Standard deviation of network calls over images; 0 for fixed steps, None for couplings.
        peak_memory_mib: Most memory held while sampling: of the GPU, or of the process on a CPU.
        fid_std: Standard deviation of one seed's FID: between seeds, or by the jackknife if there is only one.
        num_seeds: Number of seeds that ``fid`` averages: ``seed`` and those that follow it.
        fid_infinity: FID extrapolated to infinitely many samples (Chong & Forsyth 2020).
        fid_heldout: FID against the held-out split.
        kid: Kernel distance (Bińkowski et al. 2018), 0 in expectation for equal distributions.
        precision: In [0, 1] (Kynkäänniemi et al. 2019).
        recall: In [0, 1].
        density: ≥ 0 (Naeem et al. 2020).
        coverage: In [0, 1] (Naeem et al. 2020).
        nearest_train_ratio: Median pixel distance to the nearest training image, divided by that of held-out images;
            well below 1 if training images are memorised; None if held-out images are copies of training images.
    """

    fid: NonNegativeFloat
    features: FeaturesName
    num_samples: PositiveInt
    reference: SplitName
    seed: Seed
    seconds_per_1000: NonNegativeFloat | None
    nfe_std: NonNegativeFloat | None = None
    peak_memory_mib: NonNegativeFloat | None = None
    fid_std: NonNegativeFloat | None = None
    num_seeds: PositiveInt = 1
    fid_infinity: FiniteFloat | None = None
    fid_heldout: NonNegativeFloat | None = None
    kid: FiniteFloat | None = None
    precision: UnitFloat | None = None
    recall: UnitFloat | None = None
    density: NonNegativeFloat | None = None
    coverage: UnitFloat | None = None
    nearest_train_ratio: NonNegativeFloat | None = None

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
