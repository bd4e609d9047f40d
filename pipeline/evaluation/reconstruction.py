"""How well an autoencoder gives images back: what every model of its latents can reach at best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.reference import Reference
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.metrics.reconstruction_measures import ReconstructionQuality, ReconstructionRow
from pipeline.models.autoencoder import Autoencoder
from pipeline.system.blocks import batches_of


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
    for rows in batches_of(range(len(images)), batch_size):
        x = images.load(np.array(rows))["x_1"]
        yield x, autoencoder.decode(autoencoder.encode(x)).cpu()


def _row(reference: Reference, reconstructed: Moments, images: Moments) -> ReconstructionRow:
    distance = reference.frechet.distance
    return ReconstructionRow(
        **reference.identity,
        fid=distance(reconstructed),
        fid_of_images=distance(images),
        fid_to_images=frechet_distance(reconstructed, images),
    )
