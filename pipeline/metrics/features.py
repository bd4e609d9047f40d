"""Feature extractors: uint8 images (batch, C, H, W) to float32 features (batch, num_features)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pipeline.atomic import atomic_folder
from pipeline.errors import StraightflowError
from pipeline.metrics.classifier import ImageClassifier
from pipeline.pixels import to_float

FeatureExtractor = Callable[[torch.Tensor], np.ndarray]


def save_classifier(network: ImageClassifier, folder: Path) -> None:
    """Saves weights as safetensors, atomically."""
    with atomic_folder(folder) as temporary:
        save_file(network.state_dict(), temporary / "weights.safetensors")


def classifier_features(folder: Path, channels: int, resolution: int, device: torch.device) -> FeatureExtractor:
    """Features of the classifier saved in ``folder``.

    Raises:
        StraightflowError: If the saved network does not fit the images.
    """
    weights = load_file(folder / "weights.safetensors")
    num_features, num_classes = weights["head.weight"].shape[1], weights["head.weight"].shape[0]
    network = ImageClassifier(channels, resolution, num_classes, num_features)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise StraightflowError(
            expected=f"a classifier of {channels}×{resolution}×{resolution} images in {folder}",
            found=" ".join(str(error).split())[:300],
            mend="run `dvc repro classifier`",
        ) from error
    network.to(device).eval()

    @torch.inference_mode()
    def extract(images: torch.Tensor) -> np.ndarray:
        features: np.ndarray = network.features(to_float(images.to(device))).cpu().numpy()
        return features

    return extract


def inception_features(device: torch.device) -> FeatureExtractor:
    """Features of clean-fid's Inception network in its ``clean`` mode, fetched on first use.

    Raises:
        StraightflowError: If the weights are neither cached nor within reach.
    """
    from cleanfid.features import build_feature_extractor
    from cleanfid.resize import build_resizer

    try:
        network = build_feature_extractor("clean", device=device, use_dataparallel=False)
    except (URLError, OSError) as error:
        raise StraightflowError(
            expected="clean-fid's Inception weights, cached or over the network",
            found=str(error),
            mend="connect once, or set features.name: classifier",
        ) from error
    resize = build_resizer("clean")

    @torch.inference_mode()
    def extract(images: torch.Tensor) -> np.ndarray:
        rgb = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
        resized = torch.from_numpy(np.stack([resize(image) for image in rgb])).permute(0, 3, 1, 2)
        features: np.ndarray = network(resized.float().to(device)).cpu().numpy()
        return features

    return extract


def extract_all(extract: FeatureExtractor, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Features of stored uint8 images (num, C, H, W)."""
    batches = [extract(torch.from_numpy(images[s : s + batch_size].copy())) for s in range(0, len(images), batch_size)]
    return np.concatenate(batches)
