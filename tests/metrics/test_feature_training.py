from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.composition import composed
from helpers.stand_in_device import STAND_IN, stand_in_device

from pipeline.config.features import FeaturesConfig, TrainedFeaturesConfig
from pipeline.config.loading import parse_config
from pipeline.data.sample_set import SampleSet
from pipeline.metrics.feature_networks import NetworkDescription
from pipeline.metrics.feature_training import choose_task, train_network, train_networks
from pipeline.system.errors import StraightflowError

SETTINGS = TrainedFeaturesConfig(
    num_steps=60, batch_size=32, learning_rate=0.003, num_features=16, min_accuracy=0.9, seed=0
)


CPU = torch.device("cpu")


def bars(count: int, *, labels: bool, seed: int = 0) -> SampleSet:
    """A bright bar on noise, at the top of class 0 and at the left of class 1; all of class 0 without labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(80, 121, (count, 1, 8, 8))
    classes = rng.integers(0, 2, count) if labels else np.zeros(count, dtype=np.int64)
    for image, number in zip(images, classes, strict=True):
        (image[0, :3] if number == 0 else image[0, :, :3])[...] += 100
    return SampleSet(images.astype(np.uint8), classes if labels else None, "bars")


@pytest.mark.parametrize("role", ["first", "judge"])
@pytest.mark.parametrize("task", ["classifier", "rotation"])
def test_what_can_be_learned_is_learned(role, task) -> None:
    train, heldout = (bars(count, labels=task == "classifier", seed=count) for count in (90, 30))
    found = train_network(role, task, train, heldout, SETTINGS, CPU)
    assert found.accuracy_heldout >= 0.9
    assert found.description.num_outputs == {"classifier": 2, "rotation": 4}[task]
    assert not found.network.training
    x_1 = heldout.load(np.arange(30))["x_1"]
    assert found.network.features(x_1).shape == (30, 16)
    again = train_network(role, task, train, heldout, SETTINGS, CPU)
    assert torch.equal(again.network.features(x_1), found.network.features(x_1))
    other = train_network(role, task, train, heldout, SETTINGS.model_copy(update={"seed": 1}), CPU)
    assert not torch.allclose(other.network.features(x_1), found.network.features(x_1))


@pytest.mark.parametrize(("role", "task"), [("first", "classifier"), ("judge", "rotation")])
def test_a_device_trains_what_the_cpu_does(role, task, monkeypatch: pytest.MonkeyPatch) -> None:
    train, heldout = (bars(count, labels=task == "classifier", seed=count) for count in (40, 20))
    few = SETTINGS.model_copy(update={"num_steps": 5, "min_accuracy": 0.0})
    expected = train_network(role, task, train, heldout, few, CPU)
    with stand_in_device(monkeypatch):
        found = train_network(role, task, train, heldout, few, STAND_IN)
    assert found.accuracy_heldout == pytest.approx(expected.accuracy_heldout, abs=0.1)
    for ours, theirs in zip(found.network.parameters(), expected.network.parameters(), strict=True):
        assert type(ours.data) is torch.Tensor
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)


def test_an_accuracy_of_rotations_counts_all_four_of_each_image() -> None:
    # Images that look alike from everywhere: all four rotations of one are predicted as one, and one in four is right.
    flat = SampleSet(np.full((7, 1, 8, 8), 128, dtype=np.uint8), None, "flat")
    found = train_network("first", "rotation", flat, flat, SETTINGS.model_copy(update={"min_accuracy": 0.0}), CPU)
    assert found.accuracy_heldout == 0.25
    with pytest.raises(StraightflowError, match=r"at least 0\.9 by rotation features(.|\n)*found: 0\.2500"):
        train_network("first", "rotation", flat, flat, SETTINGS, CPU)


@pytest.mark.parametrize(
    ("train", "heldout", "task"),
    [
        (bars(9, labels=True), bars(9, labels=True), "classifier"),
        (bars(9, labels=False), bars(9, labels=False), "rotation"),
        (bars(9, labels=True), bars(9, labels=False), "rotation"),  # nothing to measure a classifier on
        (
            SampleSet(np.zeros((4, 1, 8, 8), np.uint8), np.zeros(4, np.int64), "one class"),
            bars(9, labels=True),
            "rotation",
        ),
    ],
)
def test_auto_takes_classes_where_there_are_two(train: SampleSet, heldout: SampleSet, task: str) -> None:
    assert choose_task("auto", train, heldout) == task
    assert [choose_task(name, train, heldout) for name in ("classifier", "rotation")] == ["classifier", "rotation"]


def test_a_classifier_of_images_without_classes_is_refused() -> None:
    plain = bars(9, labels=False)
    with pytest.raises(StraightflowError, match=r"features\.judge\.name: classifier needs(.|\n)*rotation"):
        train_network("judge", "classifier", plain, plain, SETTINGS, CPU)


MANY_SAMPLES = ("evaluate.num_samples=2048", "evaluate.headline.num_samples=2048")


def features(*overrides: str) -> FeaturesConfig:
    return parse_config(composed("preset=smoke", *overrides), origin="test").features


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ((), {"first": "rotation", "judge": "rotation-residual"}),
        (("features.judge=null",), {"first": "rotation"}),
        (("features.judge.name=dinov2", *MANY_SAMPLES), {"first": "rotation"}),
    ],
)
def test_all_that_the_configuration_wants_is_trained(overrides, names) -> None:
    config = features(*overrides, "couplings.round1.num_pairs=2048", "couplings.round2.num_pairs=2048")
    quick = {"num_steps": 2, "min_accuracy": 0.0}
    judge = config.judge
    if judge is not None and judge.rotation is not None:
        judge = judge.model_copy(update={"rotation": judge.rotation.model_copy(update=quick)})
    config = config.model_copy(update={"rotation": config.rotation.model_copy(update=quick), "judge": judge})
    trained = train_networks(config, bars(20, labels=False), bars(8, labels=False), CPU)
    assert {role: item.description.name for role, item in trained.items()} == names
    assert all(item.network.head.in_features == item.description.num_features for item in trained.values())


@pytest.mark.parametrize("architecture", ["flat", "pooled", "residual"])
@pytest.mark.parametrize("side", [1, 4, 7, 8, 32, 33])
def test_networks_fit_images_of_any_size(architecture, side: int) -> None:
    network = NetworkDescription("rotation", architecture, (3, side, side), 5, 4).build().eval()
    x_1 = torch.zeros(2, 3, side, side)
    assert network.features(x_1).shape == (2, 5)
    assert network(x_1).shape == (2, 4)
