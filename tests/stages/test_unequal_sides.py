"""Pictures that are twice as high as wide, in two classes, from check to report, offline."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.pictures import folder_of
from helpers.small_run import run_stages, small_run
from PIL import Image

from pipeline.config.data import DataConfig
from pipeline.config.loading import load_config, parse_config
from pipeline.data.images import prepare_images
from pipeline.models.diffusers_layout import read_json
from pipeline.system.errors import StraightflowError

HEIGHT, WIDTH = 8, 4
PICTURES = (
    "data.source=folder",
    "data.location=pictures",
    f"data.resolution=[{HEIGHT},{WIDTH}]",
    "features.name=classifier",
    "features.judge.name=classifier",
    *(f"features.{key}.num_steps=30" for key in ("classifier", "judge.classifier")),
)


def save_pictures(folder: Path, count: int) -> None:
    """Grey noise that is bright at the top in class ``a`` and at the bottom in class ``b``."""
    rng = np.random.default_rng(0)
    for number in range(count):
        of_class = folder / "ab"[number % 2]
        of_class.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 100, size=(HEIGHT, WIDTH), dtype=np.uint8)
        rows = slice(0, HEIGHT // 2) if number % 2 == 0 else slice(HEIGHT // 2, HEIGHT)
        pixels[rows] += 120
        Image.fromarray(pixels).save(of_class / f"{number:03d}.png")


def test_pictures_of_unequal_sides_are_drawn_learned_and_measured(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_pictures(Path("pictures"), 80)
    Path("params.yaml").write_text(yaml.safe_dump(small_run(*PICTURES)))
    config = load_config(Path("params.yaml"))
    run_stages(config)
    assert np.load("data/images/train_images.npy", mmap_mode="r").shape[1:] == (1, HEIGHT, WIDTH)
    assert json.loads(Path("couplings/round1/store/manifest.json").read_text())["shape"] == [1, HEIGHT, WIDTH]
    for model in ("teacher", "few_step"):
        assert read_json(Path("models", model, "unet/config.json"))["sample_size"] == [HEIGHT, WIDTH]
    with Path("metrics/few_step.csv").open(newline="") as stream:
        assert {row["model"] for row in csv.DictReader(stream)} == {"couplings@round1", "teacher", "few_step"}
    assert f"{HEIGHT}×{WIDTH} grey" in Path("report/index.html").read_text("utf-8")


def test_pictures_turned_on_their_side_are_refused(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", 8)
    prepare_images(folder_of(tmp_path / "pictures", resolution=(HEIGHT, WIDTH)), tmp_path / "images")
    turned = folder_of(tmp_path / "pictures", resolution=(WIDTH, HEIGHT))
    with pytest.raises(StraightflowError, match=rf"{WIDTH}×{HEIGHT}(.|\n)*found: {HEIGHT}×{WIDTH}"):
        prepare_images(turned, tmp_path / "other")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.resolution=[8,5]", r"data\.resolution is 5, but teacher\.unet halves it"),
        ("features.name=rotation", r"features\.name rotation turns images"),
        ("features.judge.name=auto", r"features\.judge\.name auto turns images"),
        ("data.resolution=[8,8]", "give 8 for square images"),
        ("data.resolution=[8,4,1]", r"data\.resolution"),
        ("data.resolution=[8,0]", r"data\.resolution"),
        ("data.resolution=[8,true]", r"data\.resolution"),
    ],
)
def test_what_unequal_sides_do_not_go_with_is_refused(override: str, message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        parse_config(small_run(*PICTURES, override), origin="test")


def test_the_shape_of_images_is_their_channels_height_and_width(tmp_path: Path) -> None:
    config: DataConfig = folder_of(tmp_path, resolution=[HEIGHT, WIDTH])
    assert config.sample_shape == (1, HEIGHT, WIDTH)
