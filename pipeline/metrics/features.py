"""Feature extractors: uint8 images (batch, C, H, W) to float32 features (batch, num_features)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.config.evaluation import FeaturesConfig
from pipeline.data.pixels import to_float
from pipeline.metrics.classifier import ImageClassifier
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.system.atomic import atomic_folder
from pipeline.system.blocks import BLOCK_BYTES
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_hashes import HASHES, require_unchanged, write_hashes
from pipeline.system.fingerprint import fingerprint_file, fingerprint_json
from pipeline.system.replacing import holding_only
from pipeline.system.whole_files import require_file


@dataclass(frozen=True)
class FeatureExtractor:
    """A network that computes features of images.

    Attributes:
        name: Name in tables: ``classifier``, or ``inception-<mode>``.
        fingerprint: Hash of the network's weights and mode.
        extract: uint8 images (num, C, H, W) on the CPU to float32 features (num, num_features), in passes of
            ``features.batch_size`` images at most.
    """

    name: str
    fingerprint: str
    extract: Callable[[torch.Tensor], np.ndarray]

    def all(self, images: np.ndarray, batch_size: int) -> np.ndarray:
        """Features (num, num_features) of stored uint8 images (num, C, H, W), computed in batches."""
        batches = range(0, len(images), batch_size)
        return np.concatenate([self.extract(torch.from_numpy(images[at : at + batch_size].copy())) for at in batches])

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
            found = self.all(images[start : start + batch_size], batch_size)
            chosen.append(found[kept[(kept >= start) & (kept < start + len(found))] - start])
            waiting.append(found)
            last = start + batch_size >= len(images)
            if last or 2 * found.itemsize * sum(part.size for part in waiting) > block_bytes:
                block = moments_of(np.concatenate(waiting))
                whole, waiting = block if whole is None else merge_moments((whole, block)), []
        assert whole is not None  # there is an image
        return whole, np.concatenate(chosen)


def open_extractor(
    config: FeaturesConfig, classifier_folder: Path, shape: tuple[int, ...], device: torch.device
) -> FeatureExtractor:
    """Opens the configured feature extractor.

    Args:
        config: Which features.
        classifier_folder: Folder that :func:`save_classifier` wrote.
        shape: (channels, height, width) of the images to be measured.
        device: Where the network runs.

    Raises:
        StraightflowError: If the weights are missing, changed since they were saved, cannot be downloaded, or do not
            fit the images.
    """
    if config.name == "classifier":
        weights = classifier_folder / "weights.safetensors"
        if not weights.is_file():
            raise StraightflowError(
                expected=f"the classifier's weights at {weights}",
                found="no such file",
                mend="run `dvc repro classifier`",
            )
        require_unchanged(classifier_folder)
        extract = _load_classifier(weights, shape[0], shape[1], device)
        return FeatureExtractor("classifier", fingerprint_file(weights), in_passes(extract, config.batch_size))
    from pipeline.metrics.inception import find_weights, load_inception  # imports torchvision, which takes a second

    mode, weights = config.inception.mode, find_weights(config.inception)
    fingerprint = fingerprint_json([mode, fingerprint_file(weights)])
    extract = load_inception(mode, weights, device)
    return FeatureExtractor(f"inception-{mode}", fingerprint, in_passes(extract, config.batch_size))


def in_passes(extract: Callable[[torch.Tensor], np.ndarray], batch_size: int) -> Callable[[torch.Tensor], np.ndarray]:
    """``extract`` of any number of images ≥ 1, called with ``batch_size`` of them at most."""

    def in_parts(images: torch.Tensor) -> np.ndarray:
        return np.concatenate([extract(part) for part in torch.split(images, batch_size)])

    return in_parts


def save_classifier(network: ImageClassifier, folder: Path) -> None:
    """Saves weights as safetensors with their hash, atomically."""
    with atomic_folder(folder, ours=holding_only("weights.safetensors", "unused.json", HASHES)) as temporary:
        save_file(network.state_dict(), temporary / "weights.safetensors")
        write_hashes(temporary)


def _load_classifier(
    path: Path, channels: int, resolution: int, device: torch.device
) -> Callable[[torch.Tensor], np.ndarray]:
    try:
        require_file(path)
        weights = load_file(path)
        num_features, num_classes = weights["head.weight"].shape[1], weights["head.weight"].shape[0]
        network = ImageClassifier(channels, resolution, num_classes, num_features)
        network.load_state_dict(weights)
    except (RuntimeError, KeyError, SafetensorError) as error:
        raise StraightflowError(
            expected=f"a classifier of {channels}×{resolution}×{resolution} images in {path}",
            found=one_line(error),
            mend="run `dvc repro classifier`",
        ) from error
    network.to(device).eval()

    @torch.inference_mode()
    def extract(images: torch.Tensor) -> np.ndarray:
        features: np.ndarray = network.features(to_float(images.to(device))).cpu().numpy()
        return features

    return extract
