"""One measured cell of the few-step table of images."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.section import NonNegativeFloat, PositiveInt
from pipeline.metrics.row import Row


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
    """

    fid: float
    features: str
    num_samples: PositiveInt
    reference: str
    seed: int
    seconds_per_1000: float | None
    nfe_std: float | None = None
    peak_memory_mib: float | None = None
    fid_std: NonNegativeFloat | None = None
    num_seeds: PositiveInt = 1
    fid_infinity: float | None = None
    fid_heldout: float | None = None
    fid_heldout_floor: float | None = None
    kid: float | None = None
    kid_std: NonNegativeFloat | None = None
    kid_samples: PositiveInt | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    neighbour_samples: PositiveInt | None = None
    nearest_train_ratio: float | None = None
