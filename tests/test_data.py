from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pipeline.config import DataConfig
from pipeline.data import open_images, prepare_images
from pipeline.errors import StraightflowError

DIGITS = {
    "source": "digits", "location": None, "heldout_share": 0.1, "resolution": 8, "channels": 1, "seed": 0,
}  # fmt: skip


def test_digits_are_divided_without_loss(tmp_path: Path) -> None:
    prepare_images(DataConfig.model_validate(DIGITS), tmp_path / "images")
    train, heldout = (open_images(tmp_path / "images", split) for split in ("train", "heldout"))
    assert (len(train), len(heldout)) == (1617, 180)
    stored = np.concatenate([train.images, heldout.images]).reshape(1797, -1)
    expected = np.rint(load_digits().images * 255 / 16).astype(np.uint8).reshape(1797, -1)
    assert np.array_equal(stored[np.lexsort(stored.T)], expected[np.lexsort(expected.T)])
    x_1 = train.load(np.arange(10))["x_1"]
    assert x_1.min() == -1
    assert x_1.max() == 1


def colour_folder(folder: Path) -> None:
    generator = np.random.default_rng(0)
    folder.mkdir()
    for index in range(10):
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{index}.png")


def test_an_image_folder_is_read(tmp_path: Path) -> None:
    colour_folder(tmp_path / "pictures")
    config = DIGITS | {
        "source": "folder", "location": str(tmp_path / "pictures"), "channels": 3, "heldout_share": 0.3,
    }  # fmt: skip
    prepare_images(DataConfig.model_validate(config), tmp_path / "images")
    assert open_images(tmp_path / "images", "train").images.shape == (7, 3, 8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 1}, "set data.channels: 3"),
        ({"channels": 3, "resolution": 16}, "16×16"),
        ({"channels": 3, "location": "nowhere"}, "no such path"),
        ({"channels": 3, "train_split": "training"}, "split 'training'"),
    ],
)
def test_wrong_data_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    colour_folder(tmp_path / "pictures")
    config = DIGITS | {"source": "folder", "location": str(tmp_path / "pictures"), "heldout_share": 0.3} | change
    with pytest.raises(StraightflowError, match=message):
        prepare_images(DataConfig.model_validate(config), tmp_path / "images")
    assert not (tmp_path / "images").exists()
