"""The published Inception networks, through clean-fid in each of its modes (Parmar et al. 2022)."""

from __future__ import annotations

import pickle
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import cleanfid.inception_pytorch
import numpy as np
import torch
from cleanfid.downloads_helper import inception_url
from cleanfid.features import InceptionV3, InceptionV3W

from pipeline.config.features import InceptionConfig
from pipeline.metrics.resizing import bicubic, bicubic_by_pillow, bilinear
from pipeline.system.atomic import atomic_file
from pipeline.system.device import has_doubles
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.hub import TIMEOUT_SECONDS

Mode = Literal["clean", "legacy_tensorflow", "legacy_pytorch"]
TORCHSCRIPT_FILE = "inception-2015-12-05.pt"  # the name that clean-fid looks for in a folder
PYTORCH_URL: str = cleanfid.inception_pytorch.FID_WEIGHTS_URL
# Of the files as published. NVIDIA's is TorchScript, which is code; its hash is the one that k-diffusion
# (k_diffusion/evaluation.py) fetches it with. The other's is a state dict, whose name carries the hash's start.
TORCHSCRIPT_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
PYTORCH_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PUBLISHED: dict[Mode, tuple[str, str]] = {
    "clean": (inception_url, TORCHSCRIPT_SHA256),
    "legacy_tensorflow": (inception_url, TORCHSCRIPT_SHA256),
    "legacy_pytorch": (PYTORCH_URL, PYTORCH_SHA256),
}


def find_weights(config: InceptionConfig) -> Path:
    """Path of the weights: the configured file, or the published one, downloaded once into torch.hub's folder.

    Raises:
        StraightflowError: If it is missing and out of reach, or its SHA-256 is neither the configured one nor, where
            none is configured, that of the published file.
    """
    url, published = PUBLISHED[config.mode]
    path = Path(config.weights) if config.weights else Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not path.is_file():
        if config.weights:
            raise StraightflowError(
                expected=f"Inception weights at {path}", found="no such file", mend="correct features.inception.weights"
            )
        _fetch(url, path, config, published)
    _require_hash(path, config, published)
    return path


def _fetch(url: str, path: Path, config: InceptionConfig, published: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, atomic_file(path) as temporary:
            temporary.write_bytes(answer.read())
            _require_hash(temporary, config, published)  # before it is kept
    except (OSError, HTTPException) as error:
        raise StraightflowError(
            expected=f"Inception weights at {path} or over the network from {url}",
            found=one_line(error),
            mend="connect once, name a copy in features.inception.weights, or set features.name: classifier",
        ) from error


def _require_hash(path: Path, config: InceptionConfig, published: str) -> None:
    found = fingerprint_file(path)
    if found == (config.sha256 or published):
        return
    if config.sha256 is not None:
        mend = "name the file with this hash, or correct features.inception.sha256"
    elif config.weights is not None:
        mend = "name the published file; or, if you trust this one as you would a program, set "
        mend += "features.inception.sha256 to the hash found"
    else:
        mend = "move the file elsewhere if it is there, and the published one is fetched again"
    raise StraightflowError(
        expected=f"Inception weights with SHA-256 {config.sha256 or published} in {path}", found=found, mend=mend
    )


def load_inception(mode: Mode, weights: Path, device: torch.device) -> Callable[[torch.Tensor], np.ndarray]:
    """Function from uint8 images (batch, 1 or 3, H, W) to features (batch, 2048); grey is repeated to RGB.

    ``clean`` resizes with antialiased bicubic filters, ``legacy_pytorch`` and ``legacy_tensorflow`` as those
    implementations did.

    Raises:
        StraightflowError: If the file does not hold the network that the mode needs.
    """
    try:
        if mode == "legacy_pytorch":
            with _weights_from(weights):
                network = InceptionV3(output_blocks=[3], resize_input=False)
        else:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / TORCHSCRIPT_FILE).symlink_to(weights.resolve())
                network = InceptionV3W(folder, download=False, resize_inside=mode == "legacy_tensorflow")
    except (OSError, RuntimeError, AttributeError, KeyError, pickle.UnpicklingError) as error:
        raise StraightflowError(
            expected=f"the Inception network of mode {mode} in {weights}",
            found=one_line(error),
            mend="name the file that this mode needs: TorchScript for clean and legacy_tensorflow, a state dict for "
            "legacy_pytorch",
        ) from error
    network = network.to(device).eval()
    resize = _resizer(mode, device)

    @torch.inference_mode()
    def extract(images: torch.Tensor) -> np.ndarray:
        resized = resize(images.expand(-1, 3, -1, -1)).to(device)
        output = network(resized / 255)[0].flatten(1) if mode == "legacy_pytorch" else network(resized)
        features: np.ndarray = output.float().cpu().numpy()
        return features

    return extract


def _resizer(mode: Mode, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """uint8 images on the CPU → float32 images as ``mode`` gives them to its network, on ``device`` or the CPU."""
    if mode == "legacy_tensorflow":  # the network resizes by itself
        return lambda images: images.float()
    if mode == "legacy_pytorch":
        return lambda images: bilinear(images.to(device))
    if device.type == "cpu" or not has_doubles(device):
        return bicubic_by_pillow
    return lambda images: bicubic(images.to(device))


@contextmanager
def _weights_from(path: Path) -> Iterator[None]:
    """Makes clean-fid, which downloads these weights from a fixed URL, load them from ``path``, without unpickling."""
    fetch = cleanfid.inception_pytorch.load_state_dict_from_url
    cleanfid.inception_pytorch.load_state_dict_from_url = lambda _url, **_: torch.load(path, weights_only=True)
    try:
        yield
    finally:
        cleanfid.inception_pytorch.load_state_dict_from_url = fetch
