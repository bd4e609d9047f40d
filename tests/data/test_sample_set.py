from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.info import write_info
from pipeline.data.sample_set import open_samples
from pipeline.system.errors import StraightflowError

GOOD = np.zeros((6, 1, 8, 8), dtype=np.uint8)
INFO = {"source": "digits", "location": None, "resolution": 8, "channels": 1}
INFO |= {"num_train": 6, "num_heldout": 2, "fingerprint": "f"}


def write(folder: Path) -> None:
    np.save(folder / "train_images.npy", GOOD)
    np.save(folder / "train_labels.npy", np.arange(6))
    (folder / "info.json").write_text(json.dumps(INFO), "utf-8")


def images(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "train_images.npy", values)


def labels(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "train_labels.npy", values)


def info(text: str) -> Callable[[Path], None]:
    def write_info(folder: Path) -> None:
        (folder / "info.json").write_text(text, "utf-8")

    return write_info


def told(**changes: object) -> Callable[[Path], None]:
    """Sets keys of ``info.json``."""
    return info(json.dumps(INFO | changes))


def damaged_header(folder: Path) -> None:
    content = (folder / "train_images.npy").read_bytes()
    (folder / "train_images.npy").write_bytes(content.replace(b"(6, ", b"(6((", 1))


def test_what_was_prepared_is_opened(tmp_path: Path) -> None:
    write(tmp_path)
    opened = open_samples(tmp_path, "train")
    assert (len(opened), opened.shape, opened.fingerprint) == (6, (1, 8, 8), "f")


@pytest.mark.parametrize(
    "damage",
    [
        images(GOOD[:5]),
        images(GOOD[:0]),
        images(GOOD[:, 0]),
        images(GOOD.astype(np.float64)),
        images(GOOD.astype(">u2")),
        images(GOOD.astype(bool)),
        images(np.array(["a"] * 6)),
        lambda folder: (folder / "train_images.npy").write_bytes(b""),
        lambda folder: np.savez((folder / "train_images.npy").open("wb"), a=GOOD),
        damaged_header,
        labels(np.arange(3)),
        labels(np.zeros(6)),
        labels(-np.ones(6, dtype=np.int64)),
        info("{}"),
        info("[]"),
        info("[" * 100_000),
        info('{"fingerprint": 5}'),
        info('{"fingerprint": ""}'),
        info('{"fingerprint": "f", "other": 1}'),
        told(channels=7),
        told(channels=3),
        told(channels=True),
        told(resolution=0),
        told(resolution=16),
        told(resolution="8"),
        told(resolution=None),
        told(source="digit"),
        told(source="two_moons"),
        told(dim=2),
        told(num_train=0),
        told(num_train=5),
        told(num_heldout=-1),
        lambda folder: ((folder / "info.json").unlink(), (folder / "info.json").mkdir()),
        lambda folder: ((folder / "info.json").unlink(), os.mkfifo(folder / "info.json")),
    ],
)
def test_what_no_stage_prepares_is_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(StraightflowError, match="prepared data in"):
        open_samples(tmp_path, "train")


def test_a_data_set_that_says_only_its_fingerprint_is_opened(tmp_path: Path) -> None:
    write(tmp_path)
    info('{"fingerprint": "f"}')(tmp_path)
    assert len(open_samples(tmp_path, "train")) == 6


def test_who_writes_is_refused_what_who_reads_is(tmp_path: Path) -> None:
    write_info(tmp_path, INFO)
    assert json.loads((tmp_path / "info.json").read_text()) == INFO
    for change in ({"channels": 7}, {"resolution": 0}, {"other": 1}, {"num_train": 0}):
        with pytest.raises(ValueError, match=next(iter(change))):
            write_info(tmp_path, INFO | change)
    assert json.loads((tmp_path / "info.json").read_text()) == INFO
