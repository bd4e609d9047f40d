from __future__ import annotations

import pytest
from helpers.composition import composed

from pipeline.config.features import FeaturesConfig, classes_needed_by_features
from pipeline.config.loading import parse_config
from pipeline.system.errors import StraightflowError

ENOUGH = (
    "evaluate.num_samples=2048",
    "evaluate.headline.num_samples=2048",
    "data.source=folder",  # of as many images as needed
    "data.location=pictures",
    "couplings.round1.num_pairs=2048",
    "couplings.round2.num_pairs=2048",
)


def features(*overrides: str, preset: str = "smoke") -> FeaturesConfig:
    return parse_config(composed(f"preset={preset}", *overrides), origin="test").features


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("features.name=inception", "features.judge.name=inception"), "as the features that it is to judge"),
        (("features.name=dinov2", "features.judge.name=dinov2"), "as the features that it is to judge"),
        (("features.judge.classifier.seed=0",), r"judge\.classifier\.seed are equal"),
        (("features.name=rotation", "features.judge.rotation.seed=0"), r"judge\.rotation\.seed are equal"),
        (("features.judge.rotation=null",), r"needs features\.judge\.rotation"),
        (("features.judge.name=clip",), r"features\.judge\.name"),
        (("features.judge.name=points",), r"features\.judge\.name"),
        (("features.judge.classifier.num_features=201",), r"number of features \(201\), found 200"),
    ],
)
def test_a_judge_that_is_none_is_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        features(*overrides)


def test_points_have_no_judge() -> None:
    assert features(preset="toy_smoke").judge is None
    with pytest.raises(StraightflowError, match="set it to null for points"):
        features("features.judge={name: dinov2}", preset="toy_smoke")


@pytest.mark.parametrize(
    ("overrides", "names", "num_features"),
    [
        ((), ("auto", "auto"), 64),  # whichever of 64 and 48 features
        (("features.rotation.num_features=70",), ("auto", "auto"), 70),
        (("features.name=classifier", "features.rotation.num_features=70"), ("classifier", "auto"), 64),
        (("features.judge=null",), ("auto",), 64),
        (("features.judge.name=dinov2", *ENOUGH), ("auto", "dinov2"), 1024),
        (("features.name=inception", *ENOUGH), ("inception", "auto"), 2048),
    ],
)
def test_samples_must_suffice_for_the_wider_network(overrides, names, num_features: int) -> None:
    found = features(*overrides)
    assert (found.names, found.num_features) == (names, num_features)


def test_watching_needs_samples_for_the_first_network_alone() -> None:
    watched = ("features.judge.name=dinov2", *ENOUGH, "watch.fid_every_steps=10", "watch.trackers=[dvclive]")
    assert features(*watched, "watch.fid_num_samples=64").num_features == 1024
    with pytest.raises(StraightflowError, match=r"watch\.fid_num_samples .*number of features \(64\), found 63"):
        features(*watched, "watch.fid_num_samples=63")


def test_classes_are_needed_only_by_a_classifier_that_is_named() -> None:
    assert classes_needed_by_features(features()) is None
    assert classes_needed_by_features(features("features.name=rotation")) is None
    assert classes_needed_by_features(features("features.name=classifier")) == "features.name: classifier"
    assert classes_needed_by_features(features("features.judge.name=classifier")) == "features.judge.name: classifier"


def test_cifar10_is_measured_as_the_papers_that_it_cites() -> None:
    found = features(preset="cifar10")
    assert (found.name, found.inception.mode) == ("inception", "legacy_tensorflow")
    with_judge = features("features.judge={name: dinov2}", preset="cifar10")
    assert with_judge.names == ("inception", "dinov2")
