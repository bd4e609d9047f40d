"""All but transformers' network, which a small one of the same interface stands in for."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import torch
from helpers.stand_in_device import STAND_IN, stand_in_device
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from pipeline.config.features import Dinov2Config
from pipeline.metrics import dinov2
from pipeline.metrics.dinov2 import POSITIONS, Architecture, find_weights, load_dinov2, preprocess, resample_positions
from pipeline.system.errors import StraightflowError

CPU = torch.device("cpu")
TINY = Architecture(hidden_size=8, num_layers=1, num_heads=2)
REVISION = "0123456789" * 4


class StandIn(nn.Module):
    """Tokens of 16×16 patches with their positions, after a class token that is the sum of all."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.position_embeddings = nn.Parameter(torch.zeros(1, 1 + 16 * 16, architecture.hidden_size))
        self.embeddings.projection = nn.Conv2d(3, architecture.hidden_size, 14, stride=14)

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        patches = self.embeddings.projection(pixel_values).flatten(2).transpose(1, 2)
        tokens = torch.cat([patches.sum(dim=1, keepdim=True), patches], dim=1) + self.embeddings.position_embeddings
        return SimpleNamespace(last_hidden_state=tokens)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those of a network that was trained on 37×37 patches, as the published one was."""
    monkeypatch.setattr(dinov2, "build_network", StandIn)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = StandIn(TINY).state_dict() | {POSITIONS: torch.randn(1, 1 + 37 * 37, 8)}
    save_file(state, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def config(**changes: object) -> Dinov2Config:
    return Dinov2Config.model_validate(
        {"weights": "facebook/dinov2-large", "revision": REVISION, "sha256": None} | changes
    )


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))


def test_images_are_resized_by_pil_and_normalised_as_imagenet_was() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 20, 20), dtype=np.uint8)
    found = preprocess(torch.from_numpy(image))
    assert found.shape == (1, 3, 224, 224)
    for channel, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        resized = np.asarray(Image.fromarray(image[0, channel]).resize((224, 224), Image.Resampling.BICUBIC))
        assert np.allclose(found[0, channel].numpy(), (resized / 255 - mean) / std, atol=1e-6)


def test_a_flat_image_stays_flat_and_grey_is_repeated() -> None:
    found = preprocess(torch.full((2, 1, 8, 8), 255, dtype=torch.uint8))
    assert torch.allclose(found[:, 0], torch.tensor((1 - 0.485) / 0.229))
    assert torch.allclose(found[:, 2], torch.tensor((1 - 0.406) / 0.225))


def cubic(distance: float, a: float = -0.75) -> float:
    """The kernel of torch's bicubic filter (Keys 1981, with another a)."""
    x = abs(distance)
    return (a + 2) * x**3 - (a + 3) * x**2 + 1 if x <= 1 else a * (x**3 - 5 * x**2 + 8 * x - 4)


def test_positions_are_resampled_to_the_published_grid() -> None:
    ramp = torch.arange(37.0).expand(37, 37)
    positions = torch.cat([torch.tensor([[5.0]]), ramp.reshape(-1, 1)])[None]
    found = resample_positions(positions, 16)
    assert found.shape == (1, 257, 1)
    assert found[0, 0, 0] == 5
    for patch in range(2, 14):  # away from the edges
        place = (patch + 0.5) * 37 / 16.1 - 0.5
        expected = sum(cubic(place - near) * near for near in range(int(place) - 1, int(place) + 3))
        assert torch.allclose(found[0, 1:, 0].reshape(16, 16)[:, patch], torch.tensor(expected), atol=1e-4)
    assert resample_positions(found, 16) is found
    with pytest.raises(ValueError, match="no square"):
        resample_positions(torch.zeros(1, 12, 1), 16)


def test_a_device_gives_the_features_of_the_cpu(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (3, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = load_dinov2(weights, CPU, TINY)(images)
    with stand_in_device(monkeypatch):
        found = load_dinov2(weights, STAND_IN, TINY)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_features_are_the_class_token(weights: Path) -> None:
    extract = load_dinov2(weights, CPU, TINY)
    images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = extract(images)
    assert (features.shape, features.dtype) == ((3, 8), np.float32)
    assert np.allclose(extract(images[1:2]), features[1:2], atol=1e-3)
    assert np.allclose(extract(images[:, :1]), extract(images[:, :1].repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("damage", ["cut off", "other network", "no positions"])
def test_a_file_of_something_else_is_refused(damage: str, weights: Path) -> None:
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-9])
    elif damage == "other network":
        save_file({POSITIONS: torch.zeros(1, 1 + 37 * 37, 4)}, weights)
    else:
        save_file({"a": torch.zeros(1)}, weights)
    with pytest.raises(StraightflowError, match=r"DINOv2 ViT-L/14(.|\n)*features\.dinov2\.weights"):
        load_dinov2(weights, CPU, TINY)


@pytest.mark.usefixtures("installed")
def test_a_folder_is_opened_with_its_hash_alone(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(StraightflowError, match=r"a folder with model\.safetensors"):
        find_weights(config(weights=str(tmp_path / "copy")))
    path = tmp_path / "copy/model.safetensors"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert find_weights(config(weights=str(tmp_path / "copy"), sha256=digest)) == path
    with pytest.raises(StraightflowError, match=f"SHA-256 {'0' * 64}(.|\\n)*found: {digest}"):
        find_weights(config(weights=str(tmp_path / "copy"), sha256="0" * 64))


def test_weights_are_pinned_and_whole_hashes() -> None:
    for changes in ({"revision": None}, {"revision": "main"}, {"sha256": "399fba97"}):
        with pytest.raises(ValidationError, match=r"revision|sha256"):
            config(**changes)


@pytest.mark.usefixtures("installed")
def test_what_is_neither_a_folder_nor_on_the_hub_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StraightflowError, match="no folder nowhere"):
        find_weights(config(weights="nowhere", revision=None, sha256="0" * 64))
    waited: list[float] = []

    def unreachable(*_: object, timeout: float) -> None:
        waited.append(timeout)
        raise OSError("network is unreachable")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StraightflowError, match=r"network is unreachable(.|\n)*name a local copy"):
        find_weights(config(weights="no/such-model"))
    assert len(waited) == 1
    assert waited[0] <= 10


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(StraightflowError, match=r"the package transformers(.|\n)*\.\[dinov2\]"):
        find_weights(config())
