"""What ``check`` says of the machine and the network, before anything is trained."""

from __future__ import annotations

import importlib.util
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.composition import composed

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.system.errors import StraightflowError
from stages.surroundings import require_surroundings


def config(*overrides: str) -> Config:
    return parse_config(composed("preset=smoke", *overrides), origin="test")


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def test_an_ordinary_run_has_all_it_needs() -> None:
    require_surroundings(config())


@pytest.mark.parametrize("key", ["launch.command", "launch.python"])
@pytest.mark.parametrize("command", ["acelerate launch", "A=1 no_such_program x", "/no/such/python", "python 'x"])
def test_a_program_that_is_not_there_is_named(key: str, command: str) -> None:
    content = composed("preset=smoke")
    content["launch"][key.partition(".")[2]] = command
    with pytest.raises(StraightflowError, match=key):
        require_surroundings(parse_config(content, origin="test"))


def test_a_program_after_an_assignment_is_found() -> None:
    require_surroundings(config("launch.command='OMP_NUM_THREADS=1 python'"))


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("watch.trackers=[tensorboard]", "the package tensorboard, for watch.trackers"),
        ("students.round2.loss={name: lpips_huber, c: 0.03}", "the package lpips"),
        ("students.few_step.loss={name: lpips_huber, c: 0.03}", "the package lpips"),
    ],
)
def test_a_package_that_is_not_installed_is_named(override: str, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        require_surroundings(config(override))


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize("key", ["features.name", "features.judge.name"])
def test_dinov2_without_its_package_is_said(key: str) -> None:
    enough = (
        "evaluate.num_samples=1024",
        "evaluate.headline.num_samples=1024",
        *(f"couplings.round{n}.num_pairs=1024" for n in (1, 2)),
    )
    with pytest.raises(StraightflowError, match=r"the package transformers, for dinov2(.|\n)*\[dinov2\]"):
        require_surroundings(config(f"{key}=dinov2", *enough))


def test_inception_out_of_reach_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def unreachable(*_: object, timeout: float) -> Any:
        waited.append(timeout)
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    inception = ("features.name=inception", "evaluate.num_samples=2048", "evaluate.headline.num_samples=2048",
                 "data.source=folder", "data.location=pictures",
                 "couplings.round1.num_pairs=2048",
                 "couplings.round2.num_pairs=2048")  # fmt: skip
    with pytest.raises(StraightflowError, match="network is unreachable"):
        require_surroundings(config(*inception))
    assert len(waited) == 1
    assert waited[0] <= 10
    with pytest.raises(StraightflowError, match="no such file"):
        require_surroundings(config(*inception, "features.inception.weights=nowhere.pt"))


def test_weights_of_lpips_out_of_reach_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, timeout: float) -> Any:
        assert timeout <= 10
        raise OSError("network is unreachable")

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: "installed")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    lpips = config("students.few_step.loss={name: lpips_huber, c: 0.03}")
    with pytest.raises(StraightflowError, match=r"weights of LPIPS at .*vgg16(.|\n)*network is unreachable"):
        require_surroundings(lpips)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/vgg16-397923af.pth").write_bytes(b"")
    require_surroundings(lpips)


def test_inception_needs_as_many_samples_as_it_has_features() -> None:
    with pytest.raises(StraightflowError, match=r"number of features \(2048\), found 2047"):
        config("features.name=inception", "evaluate.num_samples=2047", "evaluate.headline.num_samples=2047")
