"""A teacher that is trained here on classes, by its stage: what it learns, what is refused, how it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.at_step import Killed, at_step, die
from helpers.composition import changed
from safetensors.torch import load_file

import stages.teacher as stage
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.solver import SolverConfig
from pipeline.data.check import DataFacts, check_data
from pipeline.data.info import write_info
from pipeline.flow.noise import sample_noise
from pipeline.models.networks import load_network
from pipeline.models.sampler import load_sampler
from pipeline.system.errors import StraightflowError
from stages import paths
from stages.fitting import require_fitting

UNET = {
    "block_out_channels": [8], "layers_per_block": 1, "attention": [False], "norm_num_groups": 4,
    "attention_head_dim": 8, "dropout": 0.0,
}  # fmt: skip
TRAIN = {
    "teacher.train.num_steps": 12, "teacher.train.batch_size": 8, "teacher.train.checkpoint_every_steps": 5,
    "teacher.train.warmup_steps": 2, "teacher.train.heldout_items": 4, "compute.precision": "fp32",
}  # fmt: skip
AT_NOISE = {"timesteps": {"name": "fixed", "t": 0.0}, "loss": {"name": "l2"}, "coupling": "independent"}
GREY = {0: 32, 1: 208, 2: 96}
COUNTS = {0: 32, 1: 16, 2: 16}


@pytest.fixture
def images(tmp_path: Path, monkeypatch) -> Path:
    """Images of 4×4 pixels, all of the grey of their class, in ``data/images`` below the current folder."""
    monkeypatch.chdir(tmp_path)
    write_images(paths.IMAGES)
    return paths.IMAGES


def write_images(folder: Path, labels: np.ndarray | None = None, *, with_labels: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.repeat(list(COUNTS), list(COUNTS.values())).astype(np.int64) if labels is None else labels
    for split, rows in (("train", labels), ("heldout", labels[::4])):
        grey = np.array([GREY.get(int(label), 0) for label in rows], dtype=np.uint8)
        np.save(folder / f"{split}_images.npy", np.broadcast_to(grey[:, None, None, None], (len(rows), 1, 4, 4)).copy())
        if with_labels:
            np.save(folder / f"{split}_labels.npy", rows)
    write_info(folder, {"fingerprint": "grey"})


def config_of(**changes: Any) -> Config:
    content = changed("smoke", TRAIN | {"teacher.unet": UNET, "data.resolution": 4, "teacher.label_dropout": 0.25})
    for key, value in changes.items():
        content["teacher"][key] = value
    return parse_config(content, origin="test")


def flow_config(**training: Any) -> Config:
    content = changed("smoke", TRAIN | {f"teacher.train.{key}": value for key, value in training.items()})
    content["data"]["resolution"] = 4
    content["teacher"] |= {"unet": UNET, "label_dropout": 0.25, "flow": AT_NOISE}
    content["couplings"]["round1"]["solver"] = {"name": "euler", "num_steps": 4}
    return parse_config(content, origin="test")


@pytest.mark.usefixtures("images", "one_thread")
def test_a_flow_learns_each_class_and_their_mixture_and_guidance_goes_beyond(runtime) -> None:
    """At t = 0 the velocity is E[x_1 | class] - x_0, so that one step leads to the mean of the class.

    Of no class it leads to the mean of all images, and guided by w (Ho & Salimans 2022, eq. 6, with 1 + w there for
    this w) to m + w (m_class - m).
    """
    stage.main(flow_config(num_steps=400, batch_size=64, learning_rate=4e-3, warmup_steps=20), [])
    sampler = load_sampler(paths.model("teacher"), runtime)
    assert (sampler.num_classes, sampler.null_class, sampler.num_conditions) == (4, 3, 3)
    mean_of = {label: 2 * grey / 255 - 1 for label, grey in GREY.items()}
    mean = sum(COUNTS[label] * mean_of[label] for label in COUNTS) / sum(COUNTS.values())
    x_0 = sample_noise(1, range(64), (1, 4, 4))
    one_step = SolverConfig(name="euler", num_steps=1)
    guided = one_step.model_validate({"name": "euler", "num_steps": 1, "guidance": {"scale": 1.5}})
    found = {}
    for label in (*GREY, sampler.null_class):
        found[label] = float(sampler.sample(x_0, one_step, torch.full((64,), label)).x.mean())
    for label, expected in (*mean_of.items(), (sampler.null_class, mean)):
        assert found[label] == pytest.approx(expected, abs=0.05), label
    beyond = sampler.sample(x_0, guided, torch.full((64,), 1))
    assert beyond.nfe == 2
    assert float(beyond.x.mean()) == pytest.approx(mean + 1.5 * (mean_of[1] - mean), abs=0.08)


@pytest.mark.usefixtures("images", "one_thread")
def test_a_diffusion_teacher_of_classes_goes_on_to_the_bit_and_without_dropout_has_no_null_class(runtime) -> None:
    weights = paths.model("teacher") / "unet/diffusion_pytorch_model.safetensors"
    stage.main(config_of(), [])
    whole = load_file(weights)
    with at_step(7, die), pytest.raises(Killed):
        stage.main(config_of(), [])
    stage.main(config_of(), [])
    gone_on = load_file(weights)
    assert all(torch.equal(whole[name], gone_on[name]) for name in whole)
    assert whole["class_embedding.weight"].shape[0] == 4
    assert load_network(paths.model("teacher")).config["_null_class"] == 3

    stage.main(config_of(label_dropout=0.0), [])
    sampler = load_sampler(paths.model("teacher"), runtime)
    assert (sampler.num_classes, sampler.null_class) == (3, None)


def test_only_what_can_have_classes_is_trained_on_them() -> None:
    for changes, message in (
        ({"pretrained": "theirs"}, "label_dropout is for training here"),
        ({"label_dropout": 1.0}, r"teacher\.label_dropout.*less than 1"),
        ({"label_dropout": -0.1}, r"teacher\.label_dropout.*greater than or equal to 0"),
        ({"flow": AT_NOISE | {"coupling": "minibatch_ot"}}, "gives each class noise of its own"),
    ):
        with pytest.raises(StraightflowError, match=message):
            config_of(**changes)
    points = changed("toy_smoke", {"teacher.label_dropout": 0.1})
    with pytest.raises(StraightflowError, match="label_dropout is for images"):
        parse_config(points, origin="test")


def test_guidance_needs_dropped_labels() -> None:
    for share, refused in ((0.1, False), (0.0, True), (None, True)):
        content = changed("smoke", {"teacher.label_dropout": share})
        content["couplings"]["round1"]["solver"]["guidance"] = {"scale": 2.0}
        if refused:
            with pytest.raises(StraightflowError, match=r"teacher\.label_dropout above 0"):
                parse_config(content, origin="test")
        else:
            assert parse_config(content, origin="test").teacher.has_null_class


def test_data_that_a_class_cannot_be_learned_from_is_refused(images: Path) -> None:
    gap = np.array([0, 2] * 8, dtype=np.int64)
    for labels, with_labels, message in (
        (None, False, "images without labels"),
        (np.zeros(16, dtype=np.int64), True, "a single class"),
        (gap, True, "none of class 1"),
    ):
        for path in images.glob("*_labels.npy"):
            path.unlink()
        write_images(images, labels, with_labels=with_labels)
        with pytest.raises(StraightflowError, match=rf"teacher\.label_dropout needs(.|\n)*{message}"):
            stage.main(config_of(), [])
    write_images(images)
    np.save(images / "heldout_labels.npy", np.full(16, 3, dtype=np.int64))
    with pytest.raises(StraightflowError, match=r"3 classes of the training split(.|\n)*the label 3"):
        stage.main(config_of(), [])


def test_the_check_refuses_the_same_data_and_what_does_not_go_with_classes(tmp_path: Path) -> None:
    from PIL import Image

    for label in (0, 2):
        for index in range(10):
            place = tmp_path / f"{index}-{label}.png"
            Image.fromarray(np.full((8, 8), 9 * label + index, dtype=np.uint8)).save(place)
    names = [f"{index}-{label}.png,{label}" for label in (0, 2) for index in range(10)]
    (tmp_path / "metadata.csv").write_text("file_name,label\n" + "\n".join(names) + "\n")
    changes = {"data.source": "folder", "data.location": str(tmp_path), "teacher.label_dropout": 0.1}
    config = parse_config(changed("smoke", changes), origin="test")
    with pytest.raises(StraightflowError, match=r"teacher\.label_dropout needs(.|\n)*none of class 1"):
        check_data(config.data, {}, classes_needed_by="teacher.label_dropout", every_class=True)
    check_data(config.data, {}, classes_needed_by="features.name: classifier")

    require_fitting(config, [], [DataFacts((80, 80), 3)])
    content = changed("smoke", changes)
    content["students"]["few_step"]["method"] = {"name": "mean_flow"}
    content["students"]["few_step"]["init"] = "teacher"
    two_times = parse_config(content, origin="test")
    with pytest.raises(StraightflowError, match=r"takes a class \(3 of them\)(.|\n)*teacher\.label_dropout: null"):
        require_fitting(two_times, [], [DataFacts((80, 80), 3)])
