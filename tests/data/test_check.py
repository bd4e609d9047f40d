from __future__ import annotations

import io
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import yaml
from diffusers import DDPMPipeline, DDPMScheduler
from helpers.composition import composed
from helpers.pictures import save_pictures
from PIL import Image

from pipeline.config.data import DataConfig
from pipeline.config.loading import load_config
from pipeline.config.teacher import TeacherConfig
from pipeline.data.check import check_data
from pipeline.models.check import check_teacher
from pipeline.models.networks import load_network
from pipeline.system import hub
from pipeline.system.errors import StraightflowError
from stages.check import main as check_stage
from stages.entry import run


def images_of(**changes: object) -> DataConfig:
    return DataConfig.model_validate(composed()["data"] | changes)


def teacher_of(pretrained: str | None, **unet: object) -> TeacherConfig:
    section = composed()["teacher"]
    return TeacherConfig.model_validate(section | {"pretrained": pretrained, "unet": section["unet"] | unet})


@pytest.fixture
def teacher(tiny_unet, tmp_path: Path) -> Path:
    DDPMPipeline(unet=tiny_unet, scheduler=DDPMScheduler()).save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def leave(path: Path) -> None:
    assert path.exists()


WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: (folder / "unet/config.json").unlink(), r"unet/config\.json"),
        (lambda folder: (folder / "unet/config.json").write_text("{"), r"JSON in .*config\.json"),
        (lambda folder: (folder / "scheduler/scheduler_config.json").unlink(), r"scheduler_config\.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), "neither"),
        (lambda folder: truncate(folder / WEIGHTS), r"bytes instead of"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"abc"), "too few for the header"),
        (lambda folder: edit_json(folder / "unet/config.json", _class_name="Kandinsky3UNet"), "UNet2DModel"),
        (lambda folder: edit_json(folder / "unet/config.json", in_channels=3, out_channels=3), r"found: \(3, 8, 8\)"),
        (lambda folder: edit_json(folder / "unet/config.json", sample_size=16), r"found: \(1, 16, 16\)"),
        (lambda folder: edit_json(folder / "unet/config.json", out_channels=4), "output channels"),
        (lambda folder: edit_json(folder / "unet/config.json", sample_size=[8, 16]), r"found: \(1, 8, 16\)"),
        (lambda folder: edit_json(folder / "unet/config.json", block_out_channels=[8] * 5), "divisible by 16"),
    ],
)
def test_a_teacher_that_is_missing_unreadable_or_of_another_shape_is_refused(teacher: Path, damage, message) -> None:
    assert check_teacher(teacher_of(str(teacher)), images_of(), {})["pretrained"] == str(teacher)
    damage(teacher)
    with pytest.raises(StraightflowError, match=message):
        check_teacher(teacher_of(str(teacher)), images_of(), {})


def test_a_resolution_that_the_configured_unet_cannot_halve_is_refused() -> None:
    check_teacher(teacher_of(None, block_out_channels=[32] * 4, attention=[False] * 4), images_of(), {})
    five = teacher_of(None, block_out_channels=[32] * 5, attention=[False] * 5)
    with pytest.raises(StraightflowError, match=r"divisible by 16(.|\n)*found: images of 8×8(.|\n)*images of 16×16"):
        check_teacher(five, images_of(), {})


def test_the_record_of_a_teacher_follows_its_files(teacher: Path) -> None:
    first = check_teacher(teacher_of(str(teacher)), images_of(), {})
    assert check_teacher(teacher_of(str(teacher)), images_of(), {}) == first
    edit_json(teacher / "scheduler/scheduler_config.json", beta_end=0.03)
    assert check_teacher(teacher_of(str(teacher)), images_of(), {}) != first


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(20):
        array = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(array).save(tmp_path / f"pictures/{index}.png")
    return tmp_path / "pictures"


def picture_config(location: Path, **changes: object) -> DataConfig:
    return images_of(**{"source": "folder", "location": str(location), "channels": 3} | changes)


@pytest.mark.parametrize(
    ("changes", "damage", "message"),
    [
        ({}, lambda folder: shutil.rmtree(folder), "no such path"),
        ({}, lambda folder: [item.unlink() for item in folder.iterdir()], "found: none"),
        ({}, lambda folder: (folder / "4.png").write_bytes(b"not a picture"), r"readable image at .*4\.png"),
        ({}, lambda folder: truncate(folder / "7.png"), r"readable image at .*7\.png"),
        ({"resolution": 16}, leave, r"16×16(.|\n)*found: 8×8"),
        ({"channels": 1}, leave, r"mode RGB(.|\n)*data.channels: 3"),
    ],
)
def test_a_folder_that_is_missing_unreadable_or_of_another_shape_is_refused(
    pictures: Path, changes: dict[str, object], damage, message: str
) -> None:
    check_data(picture_config(pictures), {})
    damage(pictures)
    with pytest.raises(StraightflowError, match=message):
        check_data(picture_config(pictures, **changes), {})


def test_the_record_of_a_folder_follows_its_files(pictures: Path) -> None:
    first = check_data(picture_config(pictures), {})
    assert check_data(picture_config(pictures), {}) == first
    (pictures / "3.png").rename(pictures / "30.png")
    assert check_data(picture_config(pictures), {}) != first


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("changes", "damage", "message"),
    [
        ({}, lambda path: path.unlink(), "no such path"),
        ({}, truncate, "readable parquet file"),
        ({"resolution": 16}, leave, "row 0 of split 'train'"),
        ({"channels": 3, "heldout_split": "test"}, leave, r"test\.parquet"),
    ],
)
def test_a_parquet_file_that_is_missing_unreadable_or_of_another_shape_is_refused(
    tmp_path: Path, changes: dict[str, object], damage, message: str
) -> None:
    path = tmp_path / "train.parquet"
    rows = {"image": [{"bytes": png(np.zeros((8, 8), np.uint8)), "path": None}] * 20}
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    check_data(picture_config(path, source="parquet", channels=1), {})
    damage(path)
    with pytest.raises(StraightflowError, match=message):
        check_data(picture_config(path, **{"source": "parquet", "channels": 1} | changes), {})


def test_digits_of_another_shape_are_refused() -> None:
    with pytest.raises(StraightflowError, match=r"data\.resolution: 8"):
        check_data(images_of(resolution=16), {})


@pytest.fixture
def hub_unreachable(monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # refuses every connection
    monkeypatch.setattr("pipeline.models.check.cached_model", lambda *_: None)


@pytest.mark.usefixtures("hub_unreachable")
def test_without_network_a_hub_id_is_refused() -> None:
    with pytest.raises(StraightflowError, match=r"about the model 'owner/model'(.|\n)*connect to the network"):
        check_teacher(teacher_of("owner/model"), images_of(), {})
    with pytest.raises(StraightflowError, match=r"about the dataset 'owner/images'(.|\n)*connect to the network"):
        check_data(images_of(source="hub", location="owner/images"), {})


@pytest.mark.usefixtures("hub_unreachable")
def test_without_network_what_was_reached_before_is_trusted() -> None:
    teacher = {"pretrained": "owner/model", "fingerprint": "abc"}
    assert check_teacher(teacher_of("owner/model"), images_of(), teacher) == teacher
    images = {"source": "hub", "location": "owner/images", "fingerprint": "abc"}
    assert check_data(images_of(source="hub", location="owner/images"), images) == images


@pytest.fixture
def silent_server() -> Iterator[str]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_hub_that_does_not_answer_is_given_up_in_time(silent_server: str, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", silent_server)
    with pytest.raises(StraightflowError, match="Timeout"):
        hub.hub_revision("model", "owner/model", timeout_seconds=0.2)


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the checkpoint ran')",))


def test_a_teacher_with_code_in_its_weights_is_refused_and_not_run(teacher: Path) -> None:
    (teacher / WEIGHTS).unlink()
    torch.save({"weight": Payload()}, teacher / "unet/diffusion_pytorch_model.bin")
    with pytest.raises(StraightflowError, match="complete file of weights"):
        load_network(teacher)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("students.round1.batchsize", 8, "did you mean 'batch_size'"),
        ("couplings.round1.source", "round7", "round7"),
        ("teacher.pretrained", "nowhere/to/be/found", "teacher.pretrained"),
        ("data.resolution", 7, "data.resolution"),
    ],
)
def test_the_stage_ends_with_one_message_and_keeps_what_there_is(
    tmp_path: Path, monkeypatch, capsys, key: str, value: object, message: str
) -> None:
    content = composed()
    *sections, last = key.split(".")
    section = content
    for name in sections:
        section = section[name]
    section[last] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "models").mkdir()
    (tmp_path / "models/finished").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["check"])
    monkeypatch.setattr("gc.freeze", lambda: None)  # which is for a process that ends after the stage
    with pytest.raises(SystemExit) as ended:
        run(check_stage)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert [said.count(part) for part in ("expected:", "found:", "mend:")] == [1, 1, 1]
    assert (tmp_path / "models/finished").is_file()
    assert not (tmp_path / "inputs").exists()


def test_the_stage_says_what_it_found_and_that_features_need_classes(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path / "classes", [f"{'ab'[index % 2]}/{index}.png" for index in range(80)])
    save_pictures(tmp_path / "flat", [f"{index}.png" for index in range(80)])
    for location in ("classes", "flat"):
        source = ("data.source=folder", f"data.location={location}")
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed(*source)))
        if location == "classes":
            check_stage(load_config(tmp_path / "params.yaml"), [])
            written = json.loads((tmp_path / "inputs/data.json").read_text())
            assert written["content"] == "72 images to train on, 8 held out, 2 classes (a, b)"
            assert f"images: classes ({written['content']})" in capsys.readouterr().out
        else:
            check_stage(load_config(tmp_path / "params.yaml"), [])  # `auto` takes features that need no labels
            for key in ("features.name", "features.judge.name"):
                (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed(*source, f"{key}=classifier")))
                with pytest.raises(StraightflowError, match=f"as {key}: classifier needs"):
                    check_stage(load_config(tmp_path / "params.yaml"), [])
