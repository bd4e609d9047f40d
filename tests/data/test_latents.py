from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config.data import DataConfig
from pipeline.data.latents import prepare_latents
from pipeline.data.prepare import prepare_data
from pipeline.data.sample_set import open_samples
from pipeline.data.space import LATENTS
from pipeline.system.errors import StraightflowError

DIGITS = DataConfig(source="digits", location=None, heldout_share=0.1, resolution=8, channels=1, seed=0)


def encode(x: torch.Tensor) -> torch.Tensor:
    """Each 2×2 block of pixels as four channels, a fifth of the scale."""
    return torch.nn.functional.pixel_unshuffle(x, 2) / 5


def save(folder: Path) -> None:
    (folder / "vae").mkdir()
    (folder / "vae/config.json").write_text("{}")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "images"
    prepare_data(DIGITS, folder)
    return folder


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_latents_are_the_encoded_images_in_their_order_with_their_labels(images: Path, tmp_path: Path, split) -> None:
    prepare_latents(images, tmp_path / "latents", encode, save, batch_size=500)
    of_images, latents = open_samples(images, split), open_samples(tmp_path / "latents", split)
    assert latents.shape == (4, 4, 4)
    assert latents.space is LATENTS
    rows = np.arange(len(of_images))
    exact = encode(of_images.load(rows)["x_1"])
    # float16 has eleven significant bits: rounding is at most 2^-11 of an entry.
    assert bool(((latents.load(rows)["x_1"] - exact).abs() <= exact.abs() * 2.0**-11).all())
    np.testing.assert_array_equal(latents.labels, of_images.labels)
    assert latents.fingerprint != of_images.fingerprint
    assert (tmp_path / "latents/vae/config.json").is_file()


def test_the_batch_size_changes_nothing_and_an_older_set_is_replaced(images: Path, tmp_path: Path) -> None:
    place = tmp_path / "latents"
    prepare_latents(images, place, encode, save, batch_size=7)
    first = {item.name: item.read_bytes() for item in place.iterdir() if item.is_file()}
    prepare_latents(images, place, encode, save, batch_size=2000)
    assert {item.name: item.read_bytes() for item in place.iterdir() if item.is_file()} == first
    prepare_latents(images, place, lambda x: encode(x) * 2, save, batch_size=2000)
    assert json.loads((place / "info.json").read_text())["fingerprint"] != json.loads(first["info.json"])["fingerprint"]


def test_latents_beyond_float16_are_refused_and_nothing_is_left(images: Path, tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match="more than 65,504 among images 0 to 99 of train"):
        prepare_latents(images, tmp_path / "latents", lambda x: encode(x) * 1e6, save, batch_size=100)
    assert not (tmp_path / "latents").exists()


def test_pixels_that_call_themselves_latents_are_refused(images: Path, tmp_path: Path) -> None:
    place = tmp_path / "latents"
    prepare_latents(images, place, encode, save, batch_size=500)
    np.save(place / "train_images.npy", np.zeros((1617, 4, 4, 4), np.uint8))
    with pytest.raises(StraightflowError, match="array of uint8"):
        open_samples(place, "train")
