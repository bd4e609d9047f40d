"""A block of images measured on a device, with features: every tensor is there that must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_unet import small_unet
from helpers.stand_in_device import STAND_IN, placed, stand_in_device

from pipeline.config.solver import SolverConfig
from pipeline.evaluation.blocks import measure_block
from pipeline.metrics.feature_networks import NetworkDescription
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.kernel_distance import KernelReference, kernel_distance
from pipeline.metrics.neighbours import nearest_distances, neighbour_measures
from pipeline.metrics.trained_features import _extraction
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student


def test_a_block_is_measured_on_a_device_as_on_the_cpu(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_unet(
        sample_size=4, block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)
    )
    save_student(network, tmp_path)
    sampler, solver = load_sampler(tmp_path, runtime), SolverConfig(name="euler", num_steps=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = NetworkDescription("classifier", "flat", (1, 4, 4), 5, 3).build().eval()

    def measured(model: Sampler, device: torch.device) -> np.ndarray:
        extractor = FeatureExtractor("classifier", "0", _extraction(features.to(device), device))

        def prepare(batch: range):
            x_0, labels = model.draw(0, batch)
            x_0 = x_0.to(device)
            return lambda: model.sample(x_0, solver, labels)

        block = measure_block(
            prepare,
            range(6),
            [extractor],
            device,
            decode=None,
            batch_size=4,
            num_parts=1,
            num_features_kept=6,
            num_images_kept=6,
        )
        assert block.images.shape == (6, 1, 4, 4)
        return block.features[0].kept

    expected = measured(sampler, torch.device("cpu"))
    with stand_in_device(monkeypatch):
        np.testing.assert_allclose(measured(placed(sampler), STAND_IN), expected, rtol=0.05, atol=0.02)


def test_single_images_are_compared_on_a_device_as_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, training = (rng.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8) for count in (9, 20))
    generated, real = (torch.from_numpy(rng.normal(size=(count, 3))) for count in (30, 40))

    def measured(device: torch.device) -> list[float]:
        x, y = generated.to(device), real.to(device)
        nearest = nearest_distances(images, training, device)
        assert nearest.device.type == device.type
        kid, neighbours = kernel_distance(x, KernelReference.of(y)), neighbour_measures(x, y, 3)
        return [float(nearest.median()), kid.value, kid.standard_error, neighbours.density, neighbours.coverage]

    expected = measured(torch.device("cpu"))
    with stand_in_device(monkeypatch):
        assert measured(STAND_IN) == pytest.approx(expected, rel=1e-9)
