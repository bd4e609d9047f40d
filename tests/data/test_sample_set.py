from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.sample_set import open_samples
from pipeline.system.errors import StraightflowError

GOOD = np.zeros((6, 1, 8, 8), dtype=np.uint8)


def write(folder: Path) -> None:
    np.save(folder / "train_images.npy", GOOD)
    np.save(folder / "train_labels.npy", np.arange(6))
    info = {"fingerprint": "f", "num_train": 6, "num_heldout": 2}
    (folder / "info.json").write_text(json.dumps(info), "utf-8")


def images(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "train_images.npy", values)


def labels(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "train_labels.npy", values)


def info(text: str) -> Callable[[Path], None]:
    def write_info(folder: Path) -> None:
        (folder / "info.json").write_text(text, "utf-8")

    return write_info


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
    ],
)
def test_what_no_stage_prepares_is_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(StraightflowError, match="prepared data in"):
        open_samples(tmp_path, "train")
