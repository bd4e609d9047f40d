from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.config.data import DataConfig
from pipeline.data.prepare import prepare_data
from pipeline.data.sample_set import open_samples
from pipeline.system.errors import StraightflowError

HEIGHT, WIDTH = 6, 4


def padded(pictures: Path, **changes: object) -> DataConfig:
    settings: dict[str, object] = {
        "source": "folder",
        "location": str(pictures),
        "heldout_share": 0.5,
        "resolution": (HEIGHT + 2, WIDTH + 2),
        "channels": 3,
        "padding": 1,
        "seed": 0,
    }
    return DataConfig.model_validate(settings | changes)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        pixels = rng.integers(1, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number}.png")
    return tmp_path / "pictures"


def test_images_are_read_into_the_middle_of_black_ones(pictures: Path, tmp_path: Path) -> None:
    prepare_data(padded(pictures), tmp_path / "images")
    found = open_samples(tmp_path / "images", "train").samples
    assert found.shape == (2, 3, HEIGHT + 2, WIDTH + 2)
    assert (found[:, :, 1:-1, 1:-1] > 0).all()
    assert int((found == 0).sum()) == 2 * 3 * ((HEIGHT + 2) * (WIDTH + 2) - HEIGHT * WIDTH)


def test_images_of_the_padded_size_are_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match=r"images of 4×2(.|\n)*found: 6×4(.|\n)*data.padding, which it counts"):
        prepare_data(padded(pictures, resolution=(HEIGHT, WIDTH)), tmp_path / "images")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"padding": 3}, "leaves nothing"),
        ({"padding": -1}, "padding"),
        ({"source": "digits", "location": None, "resolution": 8, "channels": 1}, "images that are read"),
    ],
)
def test_padding_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        padded(tmp_path, **changes)
