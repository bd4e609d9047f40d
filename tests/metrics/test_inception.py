"""The published weights are not at hand in tests; the same code runs on the same architecture with random ones."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

import cleanfid.inception_pytorch as theirs
import numpy as np
import pytest
import torch
import torchvision
from cleanfid.resize import build_resizer
from helpers.stand_in_device import STAND_IN, stand_in_device
from pydantic import ValidationError

from pipeline.config.features import InceptionConfig
from pipeline.metrics.inception import PUBLISHED, _resizer, find_weights, load_inception
from pipeline.metrics.resizing import bicubic, bicubic_by_pillow, bilinear
from pipeline.system.errors import StraightflowError

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Published(torch.nn.Module):
    """The interface of the published TorchScript file: resizes and normalises by itself when called."""

    def __init__(self, layers: torch.nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features
        x = torch.nn.functional.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        return self.layers((x - 128) / 128)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torchvision.models.Inception3, "load_state_dict", lambda *_: None)
        inception = theirs.fid_inception_v3().eval()
    torch.save(inception.state_dict(), folder / "state.pth")
    blocks = [module for name, module in inception.named_children() if name not in ("dropout", "fc")]
    with torch.inference_mode():
        layers = torch.jit.trace(torch.nn.Sequential(*blocks), torch.zeros(1, 3, 299, 299))
    torch.jit.script(Published(layers)).save(folder / "script.pt")
    return {
        "legacy_pytorch": folder / "state.pth",
        "clean": folder / "script.pt",
        "legacy_tensorflow": folder / "script.pt",
    }


@pytest.mark.parametrize("mode", ["clean", "legacy_tensorflow", "legacy_pytorch"])
def test_every_mode_measures_images_and_repeats_grey(mode, weights: dict[str, Path]) -> None:
    extract = load_inception(mode, weights[mode], CPU)
    features = extract(IMAGES)
    assert features.shape == (2, 2048)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert not np.allclose(features[0], features[1])
    grey = IMAGES[:, :1]
    assert np.allclose(extract(grey), extract(grey.repeat(1, 3, 1, 1)), atol=1e-5)


def test_a_device_gives_the_features_of_the_cpu(weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    mode = "legacy_pytorch"  # TorchScript, of the other modes, runs outside Python, where no stand-in sees it
    expected = load_inception(mode, weights[mode], CPU)(IMAGES)
    with stand_in_device(monkeypatch):
        found = load_inception(mode, weights[mode], STAND_IN)(IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)


def test_a_device_resizes_for_the_published_network(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = bicubic(IMAGES)
    with stand_in_device(monkeypatch):
        found = _resizer("clean", STAND_IN)(IMAGES)
        assert found.device == STAND_IN
        found = found.cpu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_modes_with_equal_weights_differ_by_their_resizing_alone(weights: dict[str, Path]) -> None:
    flat = torch.full((1, 3, 12, 12), 77, dtype=torch.uint8)  # no filter changes a flat image
    tensorflow, clean = (load_inception(mode, weights[mode], CPU) for mode in ("legacy_tensorflow", "clean"))
    by_rounding = np.abs(tensorflow(flat) - clean(flat)).max()
    by_resizing = np.abs(tensorflow(IMAGES) - clean(IMAGES)).max()
    assert by_resizing > 10 * by_rounding
    assert by_rounding < 1e-3 * np.abs(clean(flat)).max()


@pytest.mark.parametrize("mode", ["clean", "legacy_tensorflow", "legacy_pytorch"])
def test_a_configured_file_is_opened_only_with_its_hash(mode, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert find_weights(InceptionConfig(mode=mode, weights=str(path), sha256=digest)) == path
    with pytest.raises(StraightflowError, match=f"SHA-256 {'0' * 64}"):
        find_weights(InceptionConfig(mode=mode, weights=str(path), sha256="0" * 64))
    with pytest.raises(StraightflowError, match=f"found: {digest}(.|\\n)*features.inception.sha256 to the hash found"):
        find_weights(InceptionConfig(mode=mode, weights=str(path), sha256=None))
    with pytest.raises(StraightflowError, match="no such file"):
        find_weights(InceptionConfig(mode=mode, weights=str(tmp_path / "none.pt"), sha256=None))
    monkeypatch.setitem(PUBLISHED, mode, ("", digest))  # a copy of the published file needs no hash
    assert find_weights(InceptionConfig(mode=mode, weights=str(path), sha256=None)) == path


@pytest.mark.parametrize("start", ["f58cb9b6", "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f"])
def test_the_start_of_a_hash_is_no_hash(start: str) -> None:
    with pytest.raises(ValidationError, match="sha256"):
        InceptionConfig(mode="clean", weights="weights.pt", sha256=start)


def test_published_hashes_are_whole_and_go_with_the_published_names() -> None:
    for url, digest in PUBLISHED.values():
        assert len(bytes.fromhex(digest)) == 32
        assert url.endswith((f"-{digest[:8]}.pth", "/inception-2015-12-05.pt"))


@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch"])
def test_a_published_file_that_was_changed_is_refused(mode, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    url, digest = PUBLISHED[mode]
    path = tmp_path / "checkpoints" / url.rsplit("/", 1)[1]
    path.parent.mkdir()
    path.write_bytes(b"not what was published")
    with pytest.raises(StraightflowError, match=f"SHA-256 {digest}(.|\\n)*move the file elsewhere"):
        find_weights(InceptionConfig(mode=mode, weights=None, sha256=None))
    assert path.is_file()


@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch"])
def test_a_download_that_is_not_the_published_file_is_not_kept(mode, tmp_path: Path, monkeypatch) -> None:
    url = f"file://{tmp_path / 'weights.pt'}"
    (tmp_path / "weights.pt").write_bytes(b"not what was published")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setitem(PUBLISHED, mode, (url, PUBLISHED[mode][1]))
    with pytest.raises(StraightflowError, match="SHA-256"):
        find_weights(InceptionConfig(mode=mode, weights=None, sha256=None))
    assert not (tmp_path / "hub/checkpoints/weights.pt").exists()


def test_without_weights_and_network_the_message_says_where_they_go(tmp_path: Path, monkeypatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    for mode in ("clean", "legacy_tensorflow", "legacy_pytorch"):
        with pytest.raises(StraightflowError, match=r"unreachable(.|\n)*features\.inception\.weights"):
            find_weights(InceptionConfig(mode=mode, weights=None, sha256=None))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"nothing that a network could be read from")
    for mode in ("clean", "legacy_pytorch"):
        with pytest.raises(StraightflowError, match=f"network of mode {mode}"):
            load_inception(mode, path, CPU)


@pytest.mark.parametrize("shape", [(8, 8), (32, 32), (64, 48), (299, 299), (300, 310), (400, 350)])
def test_resizing_on_a_device_is_that_of_clean_fid(shape: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images[0] = 255 * (images[0] > 127)  # the steepest edges, whose overshoots are clipped
    resizer = build_resizer("clean")
    expected = np.stack([resizer(image) for image in images.permute(0, 2, 3, 1).numpy()]).transpose(0, 3, 1, 2)
    assert np.abs(bicubic(images).numpy() - expected).max() < 1e-4
    assert np.array_equal(bicubic_by_pillow(images).numpy(), expected)
    unfiltered = build_resizer("legacy_pytorch")
    expected = np.stack([unfiltered(image) for image in images.permute(0, 2, 3, 1).numpy()]).transpose(0, 3, 1, 2)
    assert np.abs(bilinear(images).numpy() - expected).max() < 1e-4


def test_a_device_with_doubles_resizes_by_itself() -> None:
    moved = []

    class Elsewhere(torch.Tensor):
        def to(self, *places: object, **_named: object) -> torch.Tensor:
            moved.append(places[0])
            return self.as_subclass(torch.Tensor)

    images = IMAGES.as_subclass(Elsewhere)
    for device, expected in (("cpu", []), ("mps", []), ("cuda:1", [torch.device("cuda:1")])):
        moved.clear()
        resized = _resizer("clean", torch.device(device))(images)
        assert resized.shape == (2, 3, 299, 299)
        assert moved == expected
