from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.project_folders import ROOT

from pipeline.config.evaluation import FeaturesConfig
from pipeline.config.loading import load_config
from pipeline.metrics.classifier import ImageClassifier
from pipeline.metrics.features import open_extractor, save_classifier
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES

CPU = torch.device("cpu")
CONFIG: FeaturesConfig = load_config(ROOT / "params.yaml").features


def test_the_classifier_measures_in_batches_of_any_size(tmp_path: Path) -> None:
    save_classifier(ImageClassifier(1, 8, 10, 6), tmp_path / "net")
    extractor = open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU)
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 8, 8), dtype=np.uint8)
    assert extractor.name == "classifier"
    assert extractor.all(images, 7).shape == (7, 6)
    assert np.allclose(extractor.all(images, 3), extractor.all(images, 7), atol=1e-5)


def test_a_classifier_that_is_missing_damaged_or_of_other_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match="no such file"):
        open_extractor(CONFIG, tmp_path / "none", (1, 8, 8), CPU)
    save_classifier(ImageClassifier(1, 8, 10, 6), tmp_path / "net")
    with pytest.raises(StraightflowError, match="3×16×16"):
        open_extractor(CONFIG, tmp_path / "net", (3, 16, 16), CPU)
    (tmp_path / "net/weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(StraightflowError, match=r"weights\.safetensors with SHA-256"):
        open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU)
    (tmp_path / "net" / HASHES).unlink()
    with pytest.raises(StraightflowError, match="dvc repro classifier"):
        open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU)


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_classifier(ImageClassifier(1, 8, 10, 6), tmp_path / "net")
        prints.add(open_extractor(CONFIG, tmp_path / "net", (1, 8, 8), CPU).fingerprint)
    assert len(prints) == 2
