"""Statistics of the real images that generated ones are compared with, computed once and cached by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.features import ReferenceFileConfig, reference_problem
from pipeline.config.graph import Config
from pipeline.data.order import evenly_spaced
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.evaluation.cache_names import file_reference_name, reference_name
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.evaluation.kept import is_kept, keeping
from pipeline.metrics.features import FeatureExtractor, open_extractor, open_extractors
from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.image_row import FILE
from pipeline.metrics.kernel_distance import KernelReference
from pipeline.metrics.moments import Moments
from pipeline.metrics.neighbours import nearest_distances
from pipeline.metrics.statistics_file import read_statistics
from pipeline.models.runtime import Runtime
from pipeline.system.array_files import read_arrays
from pipeline.system.code import NO_CODE
from pipeline.system.device import double_device
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json

MEMORISATION_IMAGES = 500
STATISTICS = "statistics.safetensors"


@dataclass(frozen=True)
class Reference:
    """Statistics of real images by one kind of features.

    Attributes:
        extractor: The features.
        split: Name of the reference split, which ``frechet`` and ``features`` are of; ``file`` for statistics from a
            file, whose images are not at hand: then ``shape`` and everything of single images are None.
        fingerprint: Hash of the images, of the features' network, and of what was computed of them.
        measured_by: Start of a hash of the images and of the features' network: numbers of others do not compare.
        shape: (channels, height, width).
        frechet: Fréchet distances to the split.
        heldout: Fréchet distances to the held-out split; None if it has no more images than there are features.
        heldout_floor: The training split's own distance to the held-out split: what as many perfect images would
            score, and what students can hardly fall below; None where ``heldout`` is.
        features: Features of evenly spaced images of the split, (num, num_features), float64, on the device where
            distances are computed.
        feature_counts: Numbers of images that ``features`` can be had for, see :meth:`features_of`.
        training: All training images, uint8, (num, C, H, W), memory-mapped.
        some_heldout: ``MEMORISATION_IMAGES`` evenly spaced held-out images, uint8: the first ones of a split sorted by
            class would be of one class.
    """

    extractor: FeatureExtractor
    split: str
    fingerprint: str
    measured_by: str
    shape: tuple[int, ...] | None
    frechet: FrechetReference
    heldout: FrechetReference | None
    heldout_floor: float | None
    features: torch.Tensor | None
    feature_counts: tuple[int, ...]
    training: np.ndarray | None
    some_heldout: np.ndarray | None
    _kernels: dict[int, KernelReference] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def identity(self) -> dict[str, Any]:
        """The columns of :class:`pipeline.metrics.image_row.ImageRow` that say what a number was measured by."""
        return {
            "features": self.extractor.name,
            "is_judge": self.extractor.is_judge,
            "measured_by": self.measured_by,
            "reference": self.split,
        }

    @property
    def num_images(self) -> int | None:
        """Images of the reference split; None of a file, which does not say."""
        return None if self.features is None else self.frechet.moments.count

    def features_of(self, count: int) -> torch.Tensor:
        """Features of ``count`` evenly spaced images of the split, of all if it has fewer.

        They depend on no other count, so that a setting of one metric changes no other.

        Args:
            count: One of ``feature_counts``.
        """
        if count not in self.feature_counts or self.features is None:
            raise ValueError(f"{count} images' features, of a reference opened for {self.feature_counts}")
        num_images = self.frechet.moments.count
        kept = _kept_indices(num_images, self.feature_counts)
        return self.features[np.searchsorted(kept, evenly_spaced(num_images, count))]

    def kernel_reference(self, count: int) -> KernelReference:
        """What kernel distances to :meth:`features_of` so many images have in common; computed on first use."""
        if count not in self._kernels:
            self._kernels[count] = KernelReference.of(self.features_of(count))
        return self._kernels[count]

    def median_nearest(self, images: np.ndarray) -> float | None:
        """Median pixel distance of images, uint8, (num, C, H, W), to their nearest training image; None without any."""
        if self.training is None or self.features is None:
            return None
        return float(nearest_distances(images, self.training, self.features.device).median())

    @cached_property
    def heldout_nearest(self) -> float | None:
        """That of the held-out images; computed on first use."""
        return None if self.some_heldout is None else self.median_nearest(self.some_heldout)

    def check(self, shape: tuple[int, ...], num_samples: int, setting: str = "evaluate.num_samples") -> None:
        """Checks that images can be measured against this reference.

        Args:
            shape: Shape of an image.
            num_samples: Number of images to be measured.
            setting: Name of the setting that gives ``num_samples``, for the error message.

        Raises:
            StraightflowError: If the shape is not the reference's, or if there are fewer images than features.
        """
        if self.shape is not None and shape != self.shape:
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


def feature_counts(config: EvaluateConfig) -> tuple[int, ...]:
    """Images that metrics need the features of one by one: of so many of the reference, and of a cell's first ones."""
    return tuple(sorted({config.neighbours.num_samples, config.kernel_distance.num_samples}))


def num_images_kept(config: EvaluateConfig) -> int:
    """Number of a cell's first images whose pixels are kept."""
    return max(config.grid_images, MEMORISATION_IMAGES)


def open_run_references(config: Config, runtime: Runtime, folders: MeasuringFolders) -> tuple[Reference, ...]:
    """The statistics of a run's reference split by each of its kinds of features, the judge last.

    Raises:
        StraightflowError: If a features' network, the data set or the file of statistics is missing or cannot be had.
    """
    if config.features.reference_file is not None:
        file, num_features = config.features.reference_file, config.features.num_first_features
        assert num_features is not None  # inception's
        extractor = open_extractor(config.features, folders.classifier, config.data.image_shape, runtime.device)
        return (open_file_reference(file, extractor, num_features, runtime, feature_counts(config.evaluate)),)
    split = config.features.reference_split
    assert split is not None  # no file
    train, heldout = (open_samples(folders.data, split) for split in ("train", "heldout"))
    code = folders.reference_code()
    return tuple(
        open_reference(
            train,
            heldout,
            split,
            extractor,
            runtime,
            feature_counts=feature_counts(config.evaluate),
            batch_size=config.features.batch_size,
            folder=folders.references,
            code=code,
        )
        for extractor in open_extractors(config.features, folders.classifier, train.shape, runtime.device)
    )


def open_file_reference(
    file: ReferenceFileConfig,
    extractor: FeatureExtractor,
    num_features: int,
    runtime: Runtime,
    feature_counts: tuple[int, ...],
) -> Reference:
    """Published statistics of ``num_features`` features: the Fréchet distance alone can be measured against them.

    Raises:
        StraightflowError: As :func:`pipeline.metrics.statistics_file.read_statistics`.
    """
    return Reference(
        extractor=extractor,
        split=FILE,
        fingerprint=file_reference_name(file),
        measured_by=fingerprint_json([extractor.fingerprint, FILE, file.sha256])[:12],
        shape=None,
        frechet=FrechetReference(read_statistics(file, num_features), double_device(runtime.device)),
        heldout=None,
        heldout_floor=None,
        features=None,
        feature_counts=feature_counts,
        training=None,
        some_heldout=None,
    )


def open_reference(
    train: SampleSet,
    heldout: SampleSet,
    split: str,
    extractor: FeatureExtractor,
    runtime: Runtime,
    *,
    feature_counts: tuple[int, ...],
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
        feature_counts: Numbers of images that metrics need the features of one by one.
        batch_size: Images per call of the features' network.
        folder: Cache of references, by fingerprint.
        code: What measures images, see :func:`pipeline.system.code.reached_code`: what other code measured is measured
            anew.
    """
    paths = {}
    for name, images in (("train", train), ("heldout", heldout)):
        paths[name] = folder / reference_name(name, images.fingerprint, extractor, feature_counts, code)
        if runtime.is_main and not is_kept(paths[name], _load):
            _measure(images, extractor, feature_counts, batch_size, paths[name])
    runtime.accelerator.wait_for_everyone()
    moments, features = _load(paths[split])
    problem = reference_problem(moments.count, moments.num_features)
    if problem is not None:
        raise StraightflowError(
            expected="a reference that features can be compared with", found=problem, mend="change features, or data"
        )
    train_moments, heldout_moments = (_load(paths[name])[0] for name in ("train", "heldout"))
    enough = heldout_moments.count > heldout_moments.num_features
    device = double_device(runtime.device)
    heldout_reference = FrechetReference(heldout_moments, device) if enough else None
    images = train if split == "train" else heldout
    return Reference(
        extractor=extractor,
        split=split,
        fingerprint=paths[split].name,
        measured_by=fingerprint_json([extractor.fingerprint, split, images.fingerprint])[:12],
        shape=train.shape,
        frechet=FrechetReference(moments, device),
        heldout=heldout_reference,
        heldout_floor=None if heldout_reference is None else heldout_reference.distance(train_moments),
        features=torch.from_numpy(features).double().to(device),
        feature_counts=feature_counts,
        training=train.samples,
        some_heldout=heldout.samples[evenly_spaced(len(heldout), MEMORISATION_IMAGES)],
    )


def _kept_indices(num_images: int, counts: Sequence[int]) -> np.ndarray:
    """Images whose features are kept, ascending: for each count as many, evenly spaced.

    Data sets may be sorted by class, so the first images would not be representative.
    """
    return np.unique(np.concatenate([evenly_spaced(num_images, count) for count in counts]))


def _measure(
    images: SampleSet, extractor: FeatureExtractor, counts: Sequence[int], batch_size: int, place: Path
) -> None:
    moments, features = extractor.measure(images.samples, batch_size, _kept_indices(len(images), counts))
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
