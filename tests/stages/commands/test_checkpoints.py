"""The choice of a checkpoint by FID while the training that writes them goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from diffusers import UNet2DModel
from helpers.command_line import printed, refusal
from helpers.small_unet import small_unet
from safetensors.torch import save_file

import stages.commands.checkpoints as command
from pipeline.models.networks import load_network, starting_network
from pipeline.models.student import save_student
from pipeline.system.atomic import write_json
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
def training(project: Path, monkeypatch) -> Path:
    """The current folder, a project whose round1 trains: FID is the weights' distance from 2."""
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

    monkeypatch.setattr(command, "open_few_step_fid", Measure)
    return project


def weight_of(folder: str) -> float:
    network: UNet2DModel = load_network(Path(folder))
    return float(next(network.parameters()).detach().flatten()[0])


@pytest.mark.usefixtures("training")
def test_the_best_average_is_saved() -> None:
    write_checkpoint(ANOTHER_MODELS, 10, 2.0)  # the newest folder
    assert printed("checkpoints", "round1", "--out", "models/best").splitlines() == [
        "FID: distance from 2",
        "step-000000010 ema-7: 3.000 at 1, 3.000 at 4",
        "step-000000020 ema-7: 1.000 at 1, 1.000 at 4",
        "step-000000030 ema-7: 2.000 at 1, 2.000 at 4",
        "best at 1 step(s): step-000000020 ema-7, 1.000",
    ]
    assert weight_of("models/best") == 1.0


@pytest.mark.usefixtures("training")
def test_checkpoints_that_the_training_drops_meanwhile_are_passed_over(monkeypatch) -> None:
    def found(model: str) -> list[Path]:
        files = averages_of(model)
        shutil.rmtree(RUN / "step-000000010")
        return files

    averages_of = command._averages
    monkeypatch.setattr(command, "_averages", found)
    shown = printed("checkpoints", "round1", "--out", "models/best")
    assert "step-000000010 ema-7: dropped by the training meanwhile" in shown
    assert weight_of("models/best") == 1.0
    monkeypatch.setattr(command, "_averages", lambda _: [RUN / "step-000000010/ema-7.safetensors"])
    assert "expected: checkpoints of round1 in runs" in refusal("checkpoints", "round1")


@pytest.mark.usefixtures("training")
def test_the_best_is_saved_before_the_training_drops_it(monkeypatch) -> None:
    load = command.load_average

    def load_and_drop(file: Path, network: torch.nn.Module) -> None:
        load(file, network)
        shutil.rmtree(file.parent)

    monkeypatch.setattr(command, "load_average", load_and_drop)
    printed("checkpoints", "round1", "--out", "models/best")
    assert weight_of("models/best") == 1.0


@pytest.mark.parametrize("steps", [(), ("--steps", "8"), ("--steps", "2", "--steps", "16")])
def test_an_empty_folder_and_a_student_are_replaced(training: Path, steps: tuple[str, ...]) -> None:
    (training / "models/best").mkdir()
    (training / "link").symlink_to("models/best")
    for _ in range(2):
        last = printed("checkpoints", "round1", "--out", "link", *steps).splitlines()[-1]
        assert last == f"best at {steps[1] if steps else 1} step(s): step-000000020 ema-7, 1.000"
        assert weight_of("models/best") == 1.0
        save_student(small_unet(), training / "models/best")
    assert (training / "link").is_symlink()


def test_averages_of_a_student_of_two_times_are_measured_and_saved_as_such(project: Path, monkeypatch) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["students"]["few_step"]["method"] = {"name": "shortcut"}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    save_student(small_unet(), project / "models" / content["students"]["few_step"]["init"])
    network = starting_network(small_unet(), two_times=True)
    checkpoint = project / "runs/train-few_step-0123456789abcdef/step-000000010"
    checkpoint.mkdir(parents=True)
    save_file({str(at): weight for at, weight in enumerate(network.parameters())}, checkpoint / "ema-7.safetensors")
    write_json(
        checkpoint / "checkpoint.json", {"ema-7.safetensors": fingerprint_file(checkpoint / "ema-7.safetensors")}
    )
    measured = []

    class Measure:
        def describe(self) -> str:
            return "calls"

        def __call__(self, sampler, solver) -> float:
            measured.append(sampler.sample(torch.zeros(1, 1, 8, 8), solver).nfe)
            return float(sampler.two_times)

    monkeypatch.setattr(command, "open_few_step_fid", lambda *_, **__: Measure())
    printed("checkpoints", "few_step", "--out", "models/best")
    assert measured == [1, 4]
    assert load_network(Path("models/best")).config["class_embed_type"] == "timestep"
