"""A network and the moments of its features, as they lie on the disk and as a student uses them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.data.pixels import to_float
from pipeline.data.sample_set import SampleSet
from pipeline.metrics.feature_networks import FeatureNetwork, NetworkDescription
from pipeline.metrics.learnable_features import open_learnable_features, save_learnable_features
from pipeline.system.errors import StraightflowError

CPU, SHAPE = torch.device("cpu"), (1, 8, 8)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[FeatureNetwork, np.ndarray, Path]:
    torch.manual_seed(0)
    description = NetworkDescription("classifier", "pooled", SHAPE, 6, 3)
    network = description.build()
    network(torch.randn(64, *SHAPE))  # statistics of the batch normalisation, which must be those that were trained
    images = np.random.default_rng(0).integers(0, 256, (700, *SHAPE)).astype(np.uint8)
    save_learnable_features(network, description, SampleSet(images, None, "0"), tmp_path / "features")
    return network, images, tmp_path / "features"


def test_features_are_the_networks_and_moments_those_of_the_images(saved) -> None:
    network, images, folder = saved
    found = open_learnable_features(folder, SHAPE, CPU)
    with torch.no_grad():
        expected = network.eval().features(to_float(torch.from_numpy(images)))
        torch.testing.assert_close(found.features(to_float(torch.from_numpy(images))), expected)
    assert found.num_features == 6
    exact = expected.double()
    distance = found.distance(exact.mean(dim=0), torch.cov(exact.T))
    assert abs(float(distance)) < 1e-6 * float(torch.cov(exact.T).trace())


def test_gradients_reach_the_images_and_not_the_network(saved) -> None:
    found = open_learnable_features(saved[2], SHAPE, CPU)
    images = torch.zeros(4, *SHAPE, requires_grad=True)
    found.features(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in found.network.parameters())
    assert not found.network.training


def test_what_is_missing_damaged_or_of_other_images_is_refused(saved, tmp_path: Path) -> None:
    folder = saved[2]

    def require_refused(found: str, shape: tuple[int, ...] = SHAPE, place: Path = folder) -> None:
        with pytest.raises(StraightflowError, match=f"features of(.|\n)*{found}(.|\n)*dvc repro classifier"):
            open_learnable_features(place, shape, CPU)

    require_refused("No such file", place=tmp_path / "none")
    require_refused("1×8×8 images", (3, 8, 8))
    for name, content in (("weights.safetensors", b"no weights"), ("network.json", b"{")):
        broken = tmp_path / f"broken-{name}"
        shutil.copytree(folder, broken)
        (broken / name).write_bytes(content)
        require_refused("found", place=broken)
    broken = tmp_path / "no-mean"
    shutil.copytree(folder, broken)
    save_file({"count": torch.tensor(3)}, broken / "moments.safetensors")
    require_refused("mean", place=broken)
    other = json.loads((folder / "network.json").read_text()) | {"num_features": 5}
    (folder / "network.json").write_text(json.dumps(other))
    require_refused("size mismatch")
