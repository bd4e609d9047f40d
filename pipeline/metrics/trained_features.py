"""The networks that were trained here for their features, as they lie on the disk: one folder for each role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.data.pixels import to_float
from pipeline.metrics.feature_networks import FeatureNetwork, NetworkDescription
from pipeline.metrics.feature_training import Role, TrainedNetwork
from pipeline.system.atomic import atomic_folder, write_json
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_hashes import HASHES, require_unchanged, write_hashes
from pipeline.system.fingerprint import fingerprint_file, fingerprint_json
from pipeline.system.replacing import holding_only
from pipeline.system.whole_files import read_json, require_file

WEIGHTS = "weights.safetensors"
DESCRIPTION = "network.json"
MEND = "run `dvc repro classifier`"


def save_networks(networks: Mapping[Role, TrainedNetwork], folder: Path) -> None:
    """Saves descriptions and weights (as safetensors) with their hashes, atomically."""
    ours = holding_only(f"*{WEIGHTS}", f"*/{DESCRIPTION}", "unused.json", HASHES)
    with atomic_folder(folder, ours=ours) as temporary:
        for role, trained in networks.items():
            (temporary / role).mkdir()
            write_json(temporary / role / DESCRIPTION, asdict(trained.description))
            save_file(trained.network.state_dict(), temporary / role / WEIGHTS)
        write_hashes(temporary)


def open_network(
    folder: Path, role: Role, name: str, shape: tuple[int, ...], device: torch.device
) -> tuple[str, str, Callable[[torch.Tensor], np.ndarray]]:
    """Opens a network that :func:`save_networks` saved.

    Args:
        folder: Where.
        role: Which one.
        name: What it must predict: ``classifier``, ``rotation``, or ``auto`` for either.
        shape: (channels, height, width) of the images to be measured.
        device: Where it runs.

    Returns:
        Name of its features, its fingerprint, and the function from uint8 images (batch, C, H, W) on the CPU to float32
        features (batch, num_features).

    Raises:
        StraightflowError: If it is missing, changed since it was saved, of another task or of other images.
    """
    place = folder / role
    for file in (place / DESCRIPTION, place / WEIGHTS):
        if not file.is_file():
            raise StraightflowError(expected=f"the features' network at {file}", found="no such file", mend=MEND)
    require_unchanged(folder)
    try:
        description = TypeAdapter(NetworkDescription).validate_python(read_json(place / DESCRIPTION))
        _require_fit(description, name, shape)
        require_file(place / WEIGHTS)
        network = description.build()
        network.load_state_dict(load_file(place / WEIGHTS))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        channels, height, width = shape
        raise StraightflowError(
            expected=f"a network for {name} features of {channels}×{height}×{width} images in {place}",
            found=one_line(error),
            mend=MEND,
        ) from error
    fingerprint = fingerprint_json([asdict(description), fingerprint_file(place / WEIGHTS)])
    return description.name, fingerprint, _extraction(network.to(device).eval(), device)


def _require_fit(description: NetworkDescription, name: str, shape: tuple[int, ...]) -> None:
    """ValueError unless the network predicts what it should, of images of this shape."""
    if name not in ("auto", description.task):
        raise ValueError(f"one for {description.task} features")
    if description.shape != shape:
        raise ValueError(f"one of {'×'.join(map(str, description.shape))} images")


def _extraction(network: FeatureNetwork, device: torch.device) -> Callable[[torch.Tensor], np.ndarray]:
    @torch.inference_mode()
    def extract(images: torch.Tensor) -> np.ndarray:
        features: np.ndarray = network.features(to_float(images.to(device))).cpu().numpy()
        return features

    return extract
