"""A teacher on the hub: judged by its headers before it is downloaded, and read at the commit that was judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from helpers.composition import composed
from helpers.small_unet import small_unet
from helpers.stand_in_hub import COMMIT, StandIn
from safetensors.torch import load_file, save_file

from pipeline.config.data import DataConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.models import pretrained
from pipeline.models.accepted_teacher import AcceptedTeacher
from pipeline.models.check import check_teacher
from pipeline.system import hub
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from stages import paths
from stages import teacher as teacher_stage

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def check(previous: dict[str, object], told: list[AcceptedTeacher]) -> dict[str, object]:
    sections = composed()
    settings = TeacherConfig.model_validate(sections["teacher"] | {"pretrained": "owner/model"})
    return check_teacher(settings, DataConfig.model_validate(sections["data"]), previous, tell=told.append)


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "hub"
    DDPMPipeline(unet=small_unet(num_class_embeds=7), scheduler=DDPMScheduler()).save_pretrained(folder)

    def download(name: str, file: str, *, revision: str, etag_timeout: float) -> str:
        assert file.endswith(".json"), "weights are not downloaded by check"
        assert (name, revision, etag_timeout) == ("owner/model", COMMIT, hub.TIMEOUT_SECONDS)
        return str(folder / file)

    monkeypatch.setattr(hub, "HfApi", lambda: StandIn(folder))
    monkeypatch.setattr(hub, "hf_hub_download", download)
    return folder


def edit(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    return lambda folder: save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


@pytest.mark.usefixtures("on_hub")
def test_a_model_on_the_hub_is_told_by_its_settings_and_headers_alone() -> None:
    told: list[AcceptedTeacher] = []
    assert check({}, told) == {"pretrained": "owner/model", "fingerprint": COMMIT}
    assert [(found.shape, found.num_classes) for found in told] == [((1, 8, 8), 7)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), r"a file of weights(.|\n)*in owner/model/unet(.|\n)*neither"),
        (
            edit(lambda weights: {f"module.{key}": value for key, value in weights.items()}),
            r"no tensor class_embedding\.weight(.|\n)*has a tensor module\.class_embedding",
        ),
        (edit(lambda weights: weights | {"conv_in.weight": torch.zeros(12, 1, 3, 3)}), r"conv_in\.weight of shape"),
        (
            edit(lambda weights: weights | {"conv_in.weight": torch.zeros(8, 1, 3, 3, dtype=torch.int8)}),
            r"I8 in conv_in\.weight",
        ),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"abc"), "the model 'owner/model' from the hub"),
    ],
)
def test_weights_on_the_hub_of_another_network_are_refused(on_hub: Path, damage, message: str) -> None:
    damage(on_hub)
    with pytest.raises(StraightflowError, match=message):
        check({}, [])


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("unet/config.json", {"time_embedding_type": "learned"}, "'learned'"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "exp"}, "'exp'"),
    ],
)
def test_a_model_on_the_hub_is_judged_by_the_rules_of_folders(on_hub: Path, file: str, change, message: str) -> None:
    write_json(on_hub / file, json.loads((on_hub / file).read_text()) | change)
    with pytest.raises(StraightflowError, match=message):
        check({}, [])


def test_without_network_the_copy_of_the_recorded_commit_is_judged(on_hub: Path, tmp_path: Path, monkeypatch) -> None:
    def unreachable(*_: object) -> str:
        raise StraightflowError(expected="an answer", found="none", mend="connect")

    asked: list[object] = []
    cached: list[Path | None] = [None]

    def copy_of(_: str, revision: object) -> Path | None:
        asked.append(revision)
        return cached[0]

    monkeypatch.setattr("pipeline.models.check.hub_revision", unreachable)
    monkeypatch.setattr("pipeline.models.check.cached_model", copy_of)
    recorded: dict[str, object] = {"pretrained": "owner/model", "fingerprint": COMMIT}
    told: list[AcceptedTeacher] = []
    assert check(recorded, told) == recorded
    assert told == []
    cached[0] = tmp_path / COMMIT
    shutil.copytree(on_hub, tmp_path / COMMIT)
    assert check(recorded, told) == check({"pretrained": "owner/other", "fingerprint": "b"}, told) == recorded
    (tmp_path / COMMIT / WEIGHTS).unlink()  # an earlier check read the settings alone
    assert check(recorded, told) == recorded
    assert [found.num_classes for found in told] == [7, 7, 7]
    with pytest.raises(StraightflowError, match="an answer"):
        check({}, told)
    assert asked == [COMMIT, COMMIT, None, COMMIT, None]


def test_the_teacher_stage_reads_the_commit_that_check_recorded(on_hub: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[tuple[str, str]] = []

    def download(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert "*.safetensors" in allow_patterns
        asked.append((name, revision))
        return str(on_hub)

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr(teacher_stage, "open_runtime", lambda *_: SimpleNamespace(is_main=True))
    monkeypatch.setattr(teacher_stage, "open_samples", lambda *_: SimpleNamespace(shape=(1, 8, 8), labels=None))
    teacher = TeacherConfig.model_validate(composed()["teacher"] | {"pretrained": "owner/model"})
    config = SimpleNamespace(
        compute=None,
        launch=None,
        teacher=teacher,
        sample_shape=(1, 8, 8),
        promised_teacher=teacher.promised,
        trained_on="images",
    )
    with pytest.raises(StraightflowError, match=r"record of the commit of owner/model(.|\n)*check"):
        teacher_stage.main(config, [])
    write_json(paths.TEACHER_INPUT, check({}, []))
    (tmp_path / "metrics/training").mkdir(parents=True)
    teacher_stage.main(config, [])
    assert asked == [("owner/model", COMMIT)]
    adopted, given = (load_file(folder / WEIGHTS) for folder in (Path("models/teacher"), on_hub))
    assert all(torch.equal(adopted[name], given[name]) for name in given)
    assert pretrained.is_local("models/teacher")
