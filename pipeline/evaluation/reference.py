"""Statistics of the real images that generated ones are compared with, computed once and cached by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from pipeline.config.evaluation import EvaluateConfig, reference_problem
from pipeline.config.graph import Config
from pipeline.data.order import evenly_spaced
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.metrics.features import FeatureExtractor, open_extractors
from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.moments import Moments
from pipeline.metrics.neighbours import nearest_distances
from pipeline.models.runtime import Runtime
from pipeline.system.array_files import read_arrays
from pipeline.system.code import NO_CODE
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json

MEMORISATION_IMAGES = 500
STATISTICS = "statistics.safetensors"


@dataclass(frozen=True)
class Reference:
    """Statistics of real images by one kind of features.

    Attributes:
        extractor: The features.
        split: Name of the reference split, which ``frechet`` and ``features`` are of.
        fingerprint: Hash of the images and of the features' network.
        shape: (channels, height, width).
        frechet: Fréchet distances to the split.
        heldout: Fréchet distances to the held-out split; None if it has no more images than there are features.
        features: Features of evenly spaced images of the split, (num, num_features), float64.
        training: All training images, uint8, (num, C, H, W), memory-mapped.
        some_heldout: The first ``MEMORISATION_IMAGES`` held-out images, uint8.
    """

    extractor: FeatureExtractor
    split: str
    fingerprint: str
    shape: tuple[int, ...]
    frechet: FrechetReference
    heldout: FrechetReference | None
    features: torch.Tensor
    training: np.ndarray
    some_heldout: np.ndarray

    @property
    def identity(self) -> dict[str, Any]:
        """The columns of :class:`pipeline.metrics.image_row.ImageRow` that say what a number was measured by."""
        return {
            "features": self.extractor.name,
            "is_judge": self.extractor.is_judge,
            "measured_by": fingerprint_json([self.extractor.fingerprint, self.fingerprint])[:12],
            "reference": self.split,
        }

    @cached_property
    def heldout_nearest(self) -> float:
        """Median pixel distance of a held-out image to its nearest training image; computed on first use."""
        return float(nearest_distances(self.some_heldout, self.training).median())

    def check(self, shape: tuple[int, ...], num_samples: int, setting: str = "evaluate.num_samples") -> None:
        """Checks that images can be measured against this reference.

        Args:
            shape: Shape of an image.
            num_samples: Number of images to be measured.
            setting: Name of the setting that gives ``num_samples``, for the error message.

        Raises:
            StraightflowError: If the shape is not the reference's, or if there are fewer images than features.
        """
        if shape != self.shape:
            raise StraightflowError(
                expected=f"images of shape {self.shape}, as the reference has",
                found=f"{shape}",
                mend="measure against data of the model's own size: data.resolution and data.channels",
            )
        num_features = self.frechet.moments.num_features
        if num_samples < num_features:
            raise StraightflowError(
                expected=f"at least as many samples as features ({num_features}), or covariances have no full rank",
                found=f"{num_samples}",
                mend=f"raise {setting}, or take features with fewer dimensions",
            )


def num_kept(config: EvaluateConfig) -> int:
    """Number of images, of a cell or of the reference, whose features and pixels are kept individually."""
    return max(
        config.neighbours.num_samples, config.kernel_distance.subset_size, config.grid_images, MEMORISATION_IMAGES
    )


def open_run_references(config: Config, runtime: Runtime, folders: MeasuringFolders) -> tuple[Reference, ...]:
    """The statistics of a run's reference split by each of its kinds of features, the judge last.

    Raises:
        StraightflowError: If a features' network or the data set is missing or cannot be downloaded.
    """
    train, heldout = (open_samples(folders.data, split) for split in ("train", "heldout"))
    code = folders.reference_code()
    return tuple(
        open_reference(
            train,
            heldout,
            config.features.reference,
            extractor,
            runtime,
            num_features_kept=num_kept(config.evaluate),
            batch_size=config.features.batch_size,
            folder=folders.references,
            code=code,
        )
        for extractor in open_extractors(config.features, folders.classifier, train.shape, runtime.device)
    )


def open_reference(
    train: SampleSet,
    heldout: SampleSet,
    split: str,
    extractor: FeatureExtractor,
    runtime: Runtime,
    *,
    num_features_kept: int,
    batch_size: int,
    folder: Path,
    code: Mapping[str, str] = NO_CODE,
) -> Reference:
    """Reads the reference from ``folder``; if it is missing, the main process computes it first.

    Args:
        train: Training images.
        heldout: Held-out images.
        split: ``train`` or ``heldout``: which of the two is the reference.
        extractor: Features.
        runtime: Processes.
        num_features_kept: Number of images whose features are kept individually.
        batch_size: Images per call of the features' network.
        folder: Cache of references, by fingerprint.
        code: What measures images, see :func:`pipeline.system.code.reached_code`: what other code measured is measured
            anew.
    """
    paths = {}
    for name, images in (("train", train), ("heldout", heldout)):
        inputs = [images.fingerprint, name, extractor.name, extractor.fingerprint, num_features_kept, dict(code)]
        paths[name] = folder / f"{name}-{fingerprint_json(inputs)[:16]}"
        if runtime.is_main and not is_kept(paths[name], _load):
            _measure(images, extractor, num_features_kept, batch_size, paths[name])
    runtime.accelerator.wait_for_everyone()
    moments, features = _load(paths[split])
    problem = reference_problem(moments.count, moments.num_features)
    if problem is not None:
        raise StraightflowError(
            expected="a reference that features can be compared with", found=problem, mend="change features, or data"
        )
    heldout_moments = _load(paths["heldout"])[0]
    return Reference(
        extractor=extractor,
        split=split,
        fingerprint=paths[split].name,
        shape=train.shape,
        frechet=FrechetReference(moments),
        heldout=FrechetReference(heldout_moments) if heldout_moments.count > heldout_moments.num_features else None,
        features=torch.from_numpy(features).double(),
        training=train.samples,
        some_heldout=heldout.samples[:MEMORISATION_IMAGES],
    )


def _measure(images: SampleSet, extractor: FeatureExtractor, num_kept: int, batch_size: int, place: Path) -> None:
    # Data sets may be sorted by class, so the first images would not be representative.
    moments, features = extractor.measure(images.samples, batch_size, evenly_spaced(len(images), num_kept))
    content = {"mean": moments.mean, "scatter": moments.scatter, "features": features}
    with keeping(place) as temporary:
        save_file(content | {"count": np.array([moments.count], dtype=np.int64)}, temporary / STATISTICS)


def _load(place: Path) -> tuple[Moments, np.ndarray]:
    """Moments of all features, and the features kept; OSError or ValueError where the folder holds something else."""
    content = read_arrays(place / STATISTICS)
    if content.keys() != {"mean", "scatter", "features", "count"}:
        raise ValueError(f"{', '.join(sorted(content))} in {STATISTICS}")
    count, mean, scatter, features = (content[name] for name in ("count", "mean", "scatter", "features"))
    width = mean.size
    if (count.shape, mean.shape, scatter.shape, features.shape[1:]) != ((1,), (width,), (width, width), (width,)):
        raise ValueError(f"features of several widths in {STATISTICS}")
    if count[0] < 1 or len(features) > count[0] or (np.diag(scatter) < 0).any():
        raise ValueError(f"a count or a variance that cannot be in {STATISTICS}")
    return Moments(int(count[0]), mean, scatter), features
