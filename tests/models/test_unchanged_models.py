"""A finished model is verified when it is opened: one bit of any of its files is enough."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from helpers.small_unet import small_unet

from pipeline.models.networks import load_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
from pipeline.models.student import is_saved_student, save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES

SAVED: dict[str, Callable[[Path], None]] = {
    "student": lambda folder: save_student(small_unet(), folder),
    "teacher": lambda folder: save_teacher(small_unet(), folder, training_scheduler()),
}
FILES = (
    "unet/diffusion_pytorch_model.safetensors",
    "unet/config.json",
    "scheduler/scheduler_config.json",
    "model_index.json",
)


def flip_last_bit(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def in_place_of_the_record(folder: Path) -> Path:
    (folder / HASHES).unlink()
    return folder / HASHES


@pytest.mark.parametrize("kind", SAVED)
def test_the_hashes_are_those_of_the_files_and_stock_diffusers_opens_the_folder(kind: str, tmp_path: Path) -> None:
    SAVED[kind](tmp_path / "model")
    recorded = json.loads((tmp_path / "model" / HASHES).read_text())["sha256"]
    assert recorded == {
        name: hashlib.sha256((tmp_path / "model" / name).read_bytes()).hexdigest() for name in sorted(FILES)
    }
    opened = DiffusionPipeline.from_pretrained(tmp_path / "model").unet.state_dict()
    assert all(torch.equal(opened[name], values) for name, values in small_unet().state_dict().items())


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_found_in_every_file(kind: str, file: str, runtime, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    SAVED[kind](folder)
    load_sampler(folder, runtime)
    # Of JSON the last digit or letter before its end, which leaves it JSON.
    flip_last_bit(folder / file, -1 if file.endswith(".safetensors") else (folder / file).read_text().rindex("s"))
    for opened in (lambda: load_network(folder), lambda: load_sampler(folder, runtime)):
        with pytest.raises(StraightflowError):
            opened()
    with pytest.raises(StraightflowError, match=f"{file} with SHA-256 {'[0-9a-f]' * 64} instead of"):
        load_network(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model_index.json").unlink(), "'model_index.json': "),
        (lambda folder: (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"other"), "not saved with it"),
        (lambda folder: (folder / HASHES).write_text("{"), "cannot be read"),
        (lambda folder: (folder / HASHES).write_bytes(b"\xff"), "cannot be read"),
        (lambda folder: (folder / HASHES).write_text("[]"), "without hashes"),
        (lambda folder: (folder / HASHES).write_text("[" * 100_000), "cannot be read"),
        (lambda folder: (folder / HASHES).write_text('{"sha256": {"a\\u0000b": "0"}}'), "zero|null byte"),
        (lambda folder: (folder / HASHES).write_text('{"sha256": {"\\ud800": "0"}}'), "surrogates"),
        (lambda folder: in_place_of_the_record(folder).mkdir(), "cannot be read"),
        (lambda folder: os.mkfifo(in_place_of_the_record(folder)), "a pipe"),
        (lambda folder: in_place_of_the_record(folder).symlink_to("/dev/zero"), "a pipe"),
        (lambda folder: in_place_of_the_record(folder).symlink_to("nowhere"), "cannot be read"),
        (lambda folder: (folder / HASHES).write_text('{"sha256": [1]}'), "without hashes"),
    ],
)
def test_missing_added_and_unreadable_files_are_found(damage, message: str, tmp_path: Path) -> None:
    save_student(small_unet(), tmp_path / "model")
    (tmp_path / "model/README.md").write_text("Notes of the user's are no part of the model.")
    load_network(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(StraightflowError, match=message):
        load_network(tmp_path / "model")


def test_a_model_saved_without_hashes_opens_and_is_a_student_still(runtime, tmp_path: Path) -> None:
    save_student(small_unet(), tmp_path / "model")
    assert is_saved_student(tmp_path / "model")
    (tmp_path / "model" / HASHES).unlink()
    assert is_saved_student(tmp_path / "model")
    assert load_sampler(tmp_path / "model", runtime).shape == (1, 8, 8)
