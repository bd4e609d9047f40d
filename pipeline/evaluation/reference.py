"""What generated images are compared with, computed once per images × split × features and kept by fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.graph import Config
from pipeline.data.order import evenly_spaced
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.evaluation.folders import MeasuringFolders
from pipeline.metrics.features import FeatureExtractor, open_extractor
from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.moments import Moments
from pipeline.metrics.neighbours import nearest_distances
from pipeline.models.runtime import Runtime
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json

MEMORISATION_IMAGES = 500


@dataclass(frozen=True)
class Reference:
    """Real images as the measures need them.

    Attributes:
        split: Name of the split that everything but ``heldout`` is of.
        fingerprint: Of the images and their features.
        shape: (channels, height, width).
        frechet: Fréchet distances to the split.
        heldout: Fréchet distances to the held-out split; None where it has no more images than there are features.
        features: Of evenly spaced images of the split, (num, num_features), float64.
        training: All training images, uint8, (num, C, H, W), memory-mapped.
        some_heldout: The first ``MEMORISATION_IMAGES`` held-out images, uint8.
    """

    split: str
    fingerprint: str
    shape: tuple[int, ...]
    frechet: FrechetReference
    heldout: FrechetReference | None
    features: torch.Tensor
    training: np.ndarray
    some_heldout: np.ndarray

    @cached_property
    def heldout_nearest(self) -> float:
        """Median distance in pixels of a held-out image to its nearest training image; compared when first asked."""
        return float(nearest_distances(self.some_heldout, self.training).median())

    def check(self, shape: tuple[int, ...], num_samples: int, setting: str = "evaluate.num_samples") -> None:
        """Refuses what cannot be measured: images of another shape, or too few of them.

        Args:
            shape: Of an image.
            num_samples: Images to be measured.
            setting: What says how many, for the error.

        Raises:
            StraightflowError: If the shape is another one, or if there are fewer images than features.
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
    """Images, of a cell or of the reference, whose features and pixels are kept one by one."""
    return max(
        config.neighbours.num_samples, config.kernel_distance.subset_size, config.grid_images, MEMORISATION_IMAGES
    )


def open_run_reference(
    config: Config, runtime: Runtime, folders: MeasuringFolders
) -> tuple[FeatureExtractor, Reference]:
    """The configured features of a run, and its reference split under them.

    Raises:
        StraightflowError: If the features' network or the data set is missing or out of reach.
    """
    train, heldout = (open_samples(folders.data, split) for split in ("train", "heldout"))
    extractor = open_extractor(config.features, folders.classifier, train.shape, runtime.device)
    reference = open_reference(
        train,
        heldout,
        config.features.reference,
        extractor,
        runtime,
        num_features_kept=num_kept(config.evaluate),
        batch_size=config.features.batch_size,
        folder=folders.references,
    )
    return extractor, reference


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
) -> Reference:
    """Reads the reference from ``folder``, or computes it there first, in the main process.

    Args:
        train: Training images.
        heldout: Held-out images.
        split: ``train`` or ``heldout``: which of the two is the reference.
        extractor: Features.
        runtime: Processes.
        num_features_kept: Images whose features are kept one by one.
        batch_size: Images per feature pass.
        folder: Where references are kept by fingerprint.
    """
    paths = {}
    for name, images in (("train", train), ("heldout", heldout)):
        inputs = [images.fingerprint, name, extractor.name, extractor.fingerprint, num_features_kept]
        paths[name] = folder / f"{name}-{fingerprint_json(inputs)[:16]}.safetensors"
        if runtime.is_main and not paths[name].is_file():
            _measure(images, extractor, num_features_kept, batch_size, paths[name])
    runtime.accelerator.wait_for_everyone()
    moments, features = _load(paths[split])
    heldout_moments = _load(paths["heldout"])[0]
    return Reference(
        split=split,
        fingerprint=paths[split].stem,
        shape=train.shape,
        frechet=FrechetReference(moments),
        heldout=FrechetReference(heldout_moments) if heldout_moments.count > heldout_moments.num_features else None,
        features=torch.from_numpy(features).double(),
        training=train.samples,
        some_heldout=heldout.samples[:MEMORISATION_IMAGES],
    )


def _measure(images: SampleSet, extractor: FeatureExtractor, num_kept: int, batch_size: int, path: Path) -> None:
    # Sources order images by class, so the first ones would not speak for all.
    moments, features = extractor.measure(images.samples, batch_size, evenly_spaced(len(images), num_kept))
    content = {"mean": moments.mean, "scatter": moments.scatter, "features": features}
    with atomic_file(path) as temporary:
        save_file(content | {"count": np.array([moments.count], dtype=np.int64)}, temporary)


def _load(path: Path) -> tuple[Moments, np.ndarray]:
    content = load_file(path)
    return Moments(int(content["count"][0]), content["mean"], content["scatter"]), content["features"]
