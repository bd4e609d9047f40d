"""The choice of a checkpoint by FID while the training that writes them goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from helpers.composition import composed
from helpers.small_unet import small_unet
from safetensors.torch import save_file

import stages.checkpoints as stage
from pipeline.config.graph import Config
from pipeline.models.networks import load_network
from pipeline.models.student import save_student
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file

RUN = Path("runs/train-round1-0123456789abcdef")
ANOTHER_MODELS = Path("runs/train-round1-b-0123456789abcdef")


def write_checkpoint(folder: Path, step: int, value: float) -> None:
    """One whose average has ``value`` in every place."""
    checkpoint = folder / f"step-{step:09d}"
    checkpoint.mkdir(parents=True)
    averages = {
        str(position): torch.full_like(weight, value) for position, weight in enumerate(small_unet().parameters())
    }
    save_file(averages, checkpoint / "ema-7.safetensors")
    name = "ema-7.safetensors"
    write_json(checkpoint / "checkpoint.json", {name: fingerprint_file(checkpoint / name)})


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> Config:
    """Settings of a project in the current folder whose round1 trains: FID is the weights' distance from 2."""
    monkeypatch.chdir(tmp_path)
    save_student(small_unet(), Path("models/teacher"))
    for step, value in ((10, 5.0), (20, 1.0), (30, 4.0)):
        write_checkpoint(RUN, step, value)

    class Measure:
        def __init__(self, *arguments: object, **settings: object) -> None:
            pass

        def describe(self) -> str:
            return "distance from 2"

        def __call__(self, sampler, solver) -> float:  # noqa: ARG002
            return abs(float(next(sampler.network.parameters()).detach().flatten()[0]) - 2)

    monkeypatch.setattr(stage, "open_few_step_fid", Measure)
    return Config.model_validate(composed("preset=smoke", "compute.precision=fp32"))


def weight_of(folder: str) -> float:
    network: UNet2DModel = load_network(Path(folder))
    return float(next(network.parameters()).detach().flatten()[0])


def test_the_best_average_is_saved(config: Config, capsys) -> None:
    write_checkpoint(ANOTHER_MODELS, 10, 2.0)  # the newest folder
    stage.main(config, ["round1", "--out", "models/best"])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "step-000000010 ema-7: 3.000 at 1, 3.000 at 4",
        "step-000000020 ema-7: 1.000 at 1, 1.000 at 4",
        "step-000000030 ema-7: 2.000 at 1, 2.000 at 4",
        "best at 1 step(s): step-000000020 ema-7, 1.000",
    ]
    assert weight_of("models/best") == 1.0


def test_checkpoints_that_the_training_drops_meanwhile_are_passed_over(config: Config, monkeypatch, capsys) -> None:
    def found(model: str) -> list[Path]:
        files = stage_averages(model)
        shutil.rmtree(RUN / "step-000000010")
        return files

    stage_averages = stage._averages
    monkeypatch.setattr(stage, "_averages", found)
    stage.main(config, ["round1", "--out", "models/best"])
    assert "step-000000010 ema-7: dropped by the training meanwhile" in capsys.readouterr().out
    assert weight_of("models/best") == 1.0
    monkeypatch.setattr(stage, "_averages", lambda _: [RUN / "step-000000010/ema-7.safetensors"])
    with pytest.raises(StraightflowError, match="checkpoints of round1"):
        stage.main(config, ["round1"])


def test_the_best_is_saved_before_the_training_drops_it(config: Config, monkeypatch) -> None:
    load = stage.load_average

    def load_and_drop(file: Path, network: torch.nn.Module) -> None:
        load(file, network)
        shutil.rmtree(file.parent)

    monkeypatch.setattr(stage, "load_average", load_and_drop)
    stage.main(config, ["round1", "--out", "models/best"])
    assert weight_of("models/best") == 1.0
