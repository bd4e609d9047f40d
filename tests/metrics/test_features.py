from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.feature_networks import save_untrained
from helpers.project_folders import ROOT

from pipeline.config.features import FeaturesConfig
from pipeline.config.loading import load_config
from pipeline.metrics.feature_networks import FeatureNetwork
from pipeline.metrics.features import FeatureExtractor, open_extractor, open_extractors
from pipeline.metrics.moments import moments_of
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES

CPU = torch.device("cpu")
CONFIG: FeaturesConfig = load_config(ROOT / "params.yaml").features


@pytest.mark.parametrize("task", ["classifier", "rotation"])
def test_first_and_judge_measure_in_batches_of_any_size(task, tmp_path: Path) -> None:
    save_untrained(tmp_path / "net", task=task, num_features=6)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (7, 1, 8, 8), dtype=np.uint8))
    first, judge = open_extractors(CONFIG, tmp_path / "net", (1, 8, 8), CPU)
    in_threes = open_extractors(CONFIG.model_copy(update={"batch_size": 3}), tmp_path / "net", (1, 8, 8), CPU)
    assert (first.name, first.is_judge, judge.name, judge.is_judge) == (task, False, f"{task}-residual", True)
    assert first.fingerprint != judge.fingerprint
    for extractor, divided in zip((first, judge), in_threes, strict=True):
        assert extractor.extract(images).shape == (7, 6)
        assert np.allclose(divided.extract(images), extractor.extract(images), atol=1e-5)
    assert not np.allclose(first.extract(images), judge.extract(images))


def test_the_first_features_can_be_opened_alone(tmp_path: Path) -> None:
    save_untrained(tmp_path / "net", roles=["first"])
    assert open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU).name == "classifier"
    with pytest.raises(StraightflowError, match=r"judge/network\.json(.|\n)*dvc repro classifier"):
        open_extractors(CONFIG, tmp_path / "net", (1, 8, 8), CPU)
    alone = CONFIG.model_copy(update={"judge": None})
    (only,) = open_extractors(alone, tmp_path / "net", (1, 8, 8), CPU)
    assert not only.is_judge


@pytest.mark.parametrize("task", ["classifier", "rotation"])
def test_a_network_that_is_missing_damaged_of_other_images_or_another_task_is_refused(task, tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match="no such file"):
        open_extractor(CONFIG, tmp_path / "none", (1, 8, 8), CPU)
    save_untrained(tmp_path / "net", task=task)
    with pytest.raises(StraightflowError, match=r"3×16×16(.|\n)*1×8×8"):
        open_extractor(CONFIG, tmp_path / "net", (3, 16, 16), CPU)
    other = {"classifier": "rotation", "rotation": "classifier"}[task]
    with pytest.raises(StraightflowError, match=f"a network for {other} features(.|\n)*one for {task} features"):
        open_extractor(CONFIG.model_copy(update={"name": other}), tmp_path / "net", (1, 8, 8), CPU)
    (tmp_path / "net/first/weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(StraightflowError, match=r"weights\.safetensors with SHA-256"):
        open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU)
    (tmp_path / "net" / HASHES).unlink()
    with pytest.raises(StraightflowError, match="dvc repro classifier"):
        open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU)


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", '{"task": "depth"}', "no JSON"])
def test_a_damaged_description_is_refused(text: str, tmp_path: Path) -> None:
    save_untrained(tmp_path / "net")
    (tmp_path / "net" / HASHES).unlink()
    (tmp_path / "net/first/network.json").write_text(text)
    with pytest.raises(StraightflowError, match="dvc repro classifier"):
        open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU)


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_untrained(tmp_path / "net")
        prints |= {extractor.fingerprint for extractor in open_extractors(CONFIG, tmp_path / "net", (1, 8, 8), CPU)}
    assert len(prints) == 4


@pytest.mark.parametrize("block_bytes", [1, 300, 2**28])
def test_moments_and_chosen_features_are_those_of_all_images(block_bytes: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (23, 1, 3, 2), dtype=np.uint8)
    extractor = FeatureExtractor("means", "", lambda batch: batch.float().mean(dim=3).flatten(1).numpy())
    kept = np.array([0, 4, 5, 9, 22])
    moments, features = extractor.measure(images, 5, kept, block_bytes=block_bytes)
    expected = images.astype(np.float32).mean(axis=3).reshape(23, 3)
    whole = moments_of(expected)
    assert np.array_equal(features, expected[kept])
    assert moments.count == 23
    assert np.allclose(moments.mean, whole.mean, rtol=1e-13)
    assert np.allclose(moments.scatter, whole.scatter, rtol=1e-10)
    if block_bytes == 2**28:
        assert np.array_equal(moments.mean, whole.mean)
        assert np.array_equal(moments.scatter, whole.scatter)


def test_no_pass_is_larger_than_configured_or_takes_tf32(tmp_path: Path, monkeypatch) -> None:
    save_untrained(tmp_path / "net", num_features=6)
    sizes: list[int] = []
    features = FeatureNetwork.features
    assert torch.backends.cudnn.allow_tf32  # torch's own default

    def noted(self: FeatureNetwork, x_1: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x_1))
        assert not torch.backends.cudnn.allow_tf32
        return features(self, x_1)

    monkeypatch.setattr(FeatureNetwork, "features", noted)
    extractor = open_extractor(CONFIG.model_copy(update={"batch_size": 3}), tmp_path / "net", (1, 8, 8), CPU)
    images = torch.randint(0, 256, (7, 1, 8, 8), dtype=torch.uint8)
    assert extractor.extract(images).shape == (7, 6)
    assert sizes == [3, 3, 1]
    sizes.clear()
    assert extractor.measure(images.numpy(), 7, np.arange(7))[0].count == 7
    assert sizes == [3, 3, 1]
