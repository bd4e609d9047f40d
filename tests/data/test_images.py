from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pipeline.config.data import DataConfig
from pipeline.data.images import prepare_images
from pipeline.data.sample_set import open_samples
from pipeline.system.errors import StraightflowError

DIGITS = {
    "source": "digits", "location": None, "heldout_share": 0.1, "resolution": 8, "channels": 1, "seed": 0,
}  # fmt: skip

SPLITS = ("train", "heldout")


def test_digits_are_divided_without_loss(tmp_path: Path) -> None:
    prepare_images(DataConfig.model_validate(DIGITS), tmp_path / "images")
    train, heldout = (open_samples(tmp_path / "images", split) for split in ("train", "heldout"))
    assert (len(train), len(heldout)) == (1617, 180)
    stored = np.concatenate([train.samples, heldout.samples]).reshape(1797, -1)
    expected = np.rint(load_digits().images * 255 / 16).astype(np.uint8).reshape(1797, -1)
    assert np.array_equal(stored[np.lexsort(stored.T)], expected[np.lexsort(expected.T)])
    x_1 = train.load(np.arange(10))["x_1"]
    assert x_1.min() == -1
    assert x_1.max() == 1


def test_images_are_written_as_numpy_would_and_never_held_together(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for index in range(200):
        Image.new("RGB", (64, 64), (index, 0, 0)).save(tmp_path / f"pictures/{index:03d}.png")
    config = DataConfig.model_validate(
        DIGITS | {"source": "folder", "location": str(tmp_path / "pictures"), "channels": 3, "resolution": 64}
    )
    prepare_images(config, tmp_path / "first")  # loads what is loaded once
    tracemalloc.start()
    prepare_images(config, tmp_path / "images")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    written = (tmp_path / "images/train_images.npy").read_bytes()
    assert peak < len(written) / 2
    saved = io.BytesIO()
    np.save(saved, np.load(tmp_path / "images/train_images.npy"))
    assert written == saved.getvalue()
    digest = hashlib.sha256(b"".join(np.load(tmp_path / f"images/{name}_images.npy").tobytes() for name in SPLITS))
    assert json.loads((tmp_path / "images/info.json").read_text())["fingerprint"] == digest.hexdigest()


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
    assert open_samples(tmp_path / "images", "train").samples.shape == (7, 3, 8, 8)


def prepare_folder(folder: Path, images: list[Image.Image], **changes: object) -> np.ndarray:
    """Training and held-out images together, as the folder's first and second half would be stored."""
    (folder / "pictures").mkdir()
    for index, image in enumerate(images):
        image.save(folder / f"pictures/{index:02d}.png")
    config = DIGITS | {"source": "folder", "location": str(folder / "pictures"), "heldout_share": 0.5} | changes
    prepare_images(DataConfig.model_validate(config), folder / "images")
    return np.concatenate([open_samples(folder / "images", split).samples for split in ("train", "heldout")])


def test_palettes_and_opaque_alpha_become_colours(tmp_path: Path) -> None:
    colours = [Image.new("RGB", (8, 8), (10 * index, 20, 30)) for index in range(4)]
    images = [colours[0], colours[1].convert("RGBA"), colours[2].quantize(4), colours[3].convert("RGBA").quantize(4)]
    stored = prepare_folder(tmp_path, images, channels=3)
    assert sorted(map(tuple, stored[:, :, 3, 5].tolist())) == [(10 * index, 20, 30) for index in range(4)]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGBA", (8, 8), (1, 2, 3, 200)), r"transparent pixels at .*pictures/04\.png"),
        (Image.new("I;16", (8, 8)), r"mode I;16 at .*pictures/04\.png"),
    ],
)
def test_images_that_would_lose_content_are_refused_by_name(tmp_path: Path, image: Image.Image, message: str) -> None:
    images = [*(Image.new("RGB", (8, 8)) for _ in range(4)), image]
    with pytest.raises(StraightflowError, match=message):
        prepare_folder(tmp_path, images, channels=3)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    colour_folder(tmp_path / "pictures")
    (tmp_path / "pictures/6.png").write_bytes((tmp_path / "pictures/6.png").read_bytes()[:60])
    config = DIGITS | {"source": "folder", "location": str(tmp_path / "pictures"), "channels": 3, "heldout_share": 0.3}
    with pytest.raises(StraightflowError, match=r"readable image at .*pictures/6\.png"):
        prepare_images(DataConfig.model_validate(config), tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_parquet_files_give_their_own_splits_and_labels(tmp_path: Path) -> None:
    features = datasets.Features({"picture": datasets.Image(), "digit": datasets.Value("int64")})
    for split, count in (("train", 3), ("test", 2)):
        rows = {"picture": [Image.new("L", (8, 8), index) for index in range(count)], "digit": list(range(count))}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{split}.parquet")
    config = DIGITS | {
        "source": "parquet", "location": str(tmp_path), "heldout_split": "test", "label_column": "digit",
    }  # fmt: skip
    prepare_images(DataConfig.model_validate(config), tmp_path / "images")
    for split, count in (("train", 3), ("heldout", 2)):
        opened = open_samples(tmp_path / "images", split)
        assert opened.samples[:, 0, 0, 0].tolist() == opened.labels.tolist() == list(range(count))


def test_an_empty_cell_is_named(tmp_path: Path) -> None:
    features = datasets.Features({"picture": datasets.Image()})
    rows = {"picture": [Image.new("L", (8, 8)), None, Image.new("L", (8, 8)), Image.new("L", (8, 8))]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    config = DIGITS | {"source": "parquet", "location": str(tmp_path), "heldout_share": 0.5}
    with pytest.raises(StraightflowError, match=r"readable image at row \d of split '\w+'(.|\n)*an empty cell"):
        prepare_images(DataConfig.model_validate(config), tmp_path / "images")


def test_an_absurdly_large_image_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(StraightflowError, match=r"readable image at .*\d\.png(.|\n)*exceeds limit"):
        prepare_folder(tmp_path, [Image.new("RGB", (8, 8))] * 4, channels=3)


def test_reading_leaves_nothing_in_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    colour_folder(tmp_path / "pictures")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    config = DIGITS | {"source": "folder", "location": str(tmp_path / "pictures"), "channels": 3, "heldout_share": 0.3}
    prepare_images(DataConfig.model_validate(config), Path("data/images"))
    assert [item.as_posix() for item in Path().rglob("*") if item.is_dir()] == ["data", "data/images"]


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
