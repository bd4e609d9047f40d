"""Feature extractors: uint8 images (batch, C, H, W) to float32 features (batch, num_features)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.config.features import FeaturesConfig
from pipeline.metrics.feature_training import Role
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.metrics.trained_features import open_network
from pipeline.system.blocks import BLOCK_BYTES
from pipeline.system.device import float32_convolutions
from pipeline.system.fingerprint import fingerprint_file, fingerprint_json

Extract = Callable[[torch.Tensor], np.ndarray]


@dataclass(frozen=True)
class FeatureExtractor:
    """A network that computes features of images.

    Attributes:
        name: Name in tables: ``classifier`` or ``rotation`` (with ``-residual``, the judge's architecture, or without),
            ``inception-<mode>``, or ``dinov2``.
        fingerprint: Hash of the network's weights and of what is done with them.
        extract: uint8 images (num, C, H, W) on the CPU to float32 features (num, num_features), in passes of
            ``features.batch_size`` images at most.
        is_judge: Whether nothing may be chosen or trained by it.
    """

    name: str
    fingerprint: str
    extract: Callable[[torch.Tensor], np.ndarray]
    is_judge: bool = False

    def measure(
        self, images: np.ndarray, batch_size: int, kept: np.ndarray, *, block_bytes: int = BLOCK_BYTES
    ) -> tuple[Moments, np.ndarray]:
        """Moments of the features of stored uint8 images, and the features of some of them.

        Features come and go in blocks of about ``block_bytes``, so that any number of images can be measured; the
        moments are those of all at once up to rounding, and to the bit where all fit one block.

        Args:
            images: (num, C, H, W), num ≥ 1; may be memory-mapped.
            batch_size: Images per pass.
            kept: Indices whose features are returned, ascending.
            block_bytes: What the features of a block may cost in float64.
        """
        whole: Moments | None = None
        chosen: list[np.ndarray] = []
        waiting: list[np.ndarray] = []
        for start in range(0, len(images), batch_size):
            found = self.extract(torch.from_numpy(images[start : start + batch_size].copy()))
            chosen.append(found[kept[(kept >= start) & (kept < start + len(found))] - start])
            waiting.append(found)
            last = start + batch_size >= len(images)
            if last or 2 * found.itemsize * sum(part.size for part in waiting) > block_bytes:
                block = moments_of(np.concatenate(waiting))
                whole, waiting = block if whole is None else merge_moments((whole, block)), []
        assert whole is not None  # there is an image
        return whole, np.concatenate(chosen)


def open_extractors(
    config: FeaturesConfig, folder: Path, shape: tuple[int, ...], device: torch.device
) -> tuple[FeatureExtractor, ...]:
    """Opens the configured features: the first, then the judge if there is one.

    Args:
        config: Which features.
        folder: Where :func:`pipeline.metrics.trained_features.save_networks` saved those that were trained here.
        shape: (channels, height, width) of the images to be measured.
        device: Where the networks run.

    Raises:
        StraightflowError: If a network or a package is missing, changed since it was saved, cannot be downloaded, or
            does not fit the images.
    """
    first = open_extractor(config, folder, shape, device)
    if config.judge is None:
        return (first,)
    return first, _open("judge", config.judge.name, config, folder, shape, device)


def open_extractor(
    config: FeaturesConfig, folder: Path, shape: tuple[int, ...], device: torch.device
) -> FeatureExtractor:
    """The first of :func:`open_extractors` alone, which anything may be chosen by."""
    return _open("first", config.name, config, folder, shape, device)


def in_passes(extract: Extract, batch_size: int) -> Extract:
    """``extract`` of any number of images ≥ 1, with ``batch_size`` of them at most, in float32 on every device."""

    def in_parts(images: torch.Tensor) -> np.ndarray:
        with float32_convolutions():
            return np.concatenate([extract(part) for part in torch.split(images, batch_size)])

    return in_parts


def _open(
    role: Role, name: str, config: FeaturesConfig, folder: Path, shape: tuple[int, ...], device: torch.device
) -> FeatureExtractor:
    label, fingerprint, extract = _load(role, name, config, folder, shape, device)
    return FeatureExtractor(label, fingerprint, in_passes(extract, config.batch_size), is_judge=role == "judge")


def _load(
    role: Role, name: str, config: FeaturesConfig, folder: Path, shape: tuple[int, ...], device: torch.device
) -> tuple[str, str, Extract]:
    """Name, fingerprint and function of a network."""
    if name == "inception":
        from pipeline.metrics.inception import find_weights, load_inception  # imports torchvision, which takes a second

        mode, weights = config.inception.mode, find_weights(config.inception)
        fingerprint = fingerprint_json([mode, fingerprint_file(weights)])
        return f"inception-{mode}", fingerprint, load_inception(mode, weights, device)
    if name == "dinov2":
        from pipeline.metrics import dinov2

        weights = dinov2.find_weights(config.dinov2)
        fingerprint = fingerprint_json([name, dinov2.SIDE, fingerprint_file(weights)])
        return name, fingerprint, dinov2.load_dinov2(weights, device)
    return open_network(folder, role, name, shape, device)
