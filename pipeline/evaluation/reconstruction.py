"""How well an autoencoder gives images back: what every model of its latents can reach at best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.reference import Reference
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.models.autoencoder import Autoencoder


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

    features: str
    is_judge: bool
    measured_by: str
    reference: str
    fid: float
    fid_of_images: float
    fid_to_images: float


@dataclass(frozen=True)
class ReconstructionQuality:
    """Reconstructions of a set of images.

    Attributes:
        num_images: Held-out images.
        mean_squared_error: Of an entry, in [-1, 1], of the reconstruction before it is rounded to 8 bits.
        rows: One for each kind of features.
    """

    num_images: int
    mean_squared_error: float
    rows: tuple[ReconstructionRow, ...]


def measure_reconstruction(
    autoencoder: Autoencoder, images: SampleSet, references: Sequence[Reference], *, batch_size: int
) -> ReconstructionQuality:
    """Encodes and decodes ``images``, which the autoencoder was not trained on, and compares.

    Args:
        autoencoder: Opened; its calls count.
        images: Held-out images.
        references: One for each kind of features.
        batch_size: Images per call.
    """
    squared_error = 0.0
    found: list[list[Moments]] = [[] for _ in references]
    own: list[list[Moments]] = [[] for _ in references]
    for x, reconstructed in _reconstructions(autoencoder, images, batch_size):
        squared_error += float((reconstructed - x).double().square().sum())
        for at, reference in enumerate(references):
            extract = reference.extractor.extract
            found[at].append(moments_of(extract(to_uint8(reconstructed))))
            own[at].append(moments_of(extract(to_uint8(x))))
    rows = (
        _row(reference, merge_moments(found[at]), merge_moments(own[at])) for at, reference in enumerate(references)
    )
    return ReconstructionQuality(len(images), squared_error / images.samples.size, tuple(rows))


def _reconstructions(
    autoencoder: Autoencoder, images: SampleSet, batch_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(images), batch_size):
        x = images.load(np.arange(start, min(start + batch_size, len(images))))["x_1"]
        yield x, autoencoder.decode(autoencoder.encode(x)).cpu()


def _row(reference: Reference, reconstructed: Moments, images: Moments) -> ReconstructionRow:
    distance = reference.frechet.distance
    return ReconstructionRow(
        **reference.identity,
        fid=distance(reconstructed),
        fid_of_images=distance(images),
        fid_to_images=frechet_distance(reconstructed, images),
    )
