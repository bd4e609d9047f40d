from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.html_page import HOSTILE, Page
from helpers.small_image_results import FID, MODELS, NUM_NOISES, SIZE, STEPS, grey_level, write_run
from PIL import Image

from pipeline.data.mosaic import mosaic
from pipeline.report.drawing import png
from pipeline.report.images.figures import sample_grid_figure
from pipeline.report.images.samples import SampleCell, load_samples
from pipeline.report.provenance import collect_provenance, git_revision
from pipeline.report.theme import DARK, LIGHT


def decode(address: str | None) -> np.ndarray:
    assert address is not None
    content = address.removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))).convert("RGB"))


def test_the_page_asks_for_nothing_from_outside(page: str) -> None:
    for tag, attributes in Page(page).elements:
        for name in ("src", "href", "srcset", "action", "data"):
            if name in attributes:
                assert str(attributes[name]).startswith("data:"), (tag, name)
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", page)


def test_every_picture_has_words_and_pixels(page: str) -> None:
    images = Page(page).all("img")
    assert len(images) == 6 + len(FID) * len(STEPS)
    assert all((image["alt"] or "").strip() for image in images)
    for source in [image["src"] for image in images] + [item["srcset"] for item in Page(page).all("source")]:
        pixels = decode(source)
        assert pixels.min() != pixels.max()


def test_user_strings_are_escaped_and_the_page_is_made_for_phones_and_both_schemes(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") == 2
    assert any(item.get("name") == "viewport" for item in Page(page).all("meta"))
    assert "prefers-color-scheme: dark" in page
    assert "2.00 [1.74, 2.30] times that of its couplings" in page
    assert "There is no second judge" in page
    assert page.count("<tr>") >= 1 + len(FID) * len(STEPS)


def test_the_viewer_keeps_every_noise_in_its_place(page: str) -> None:
    strips = [image for image in Page(page).all("img") if image.get("class") == "samples"]
    cells = [(series, steps) for series in range(len(FID)) for steps in STEPS]
    for image, (series, steps) in zip(strips, cells, strict=True):
        pixels = decode(image["src"])
        assert pixels.shape == (SIZE, NUM_NOISES * (SIZE + 1) - 1, 3)
        for noise in range(NUM_NOISES):
            assert (pixels[:, noise * (SIZE + 1) :][:, :SIZE] == grey_level(series, steps, noise)).all()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_grid_figure_has_one_noise_down_every_column_unblurred(tmp_path: Path, theme: object) -> None:
    write_run(tmp_path)
    pixels = np.asarray(
        Image.open(io.BytesIO(png(sample_grid_figure(load_samples(tmp_path, MODELS), theme)))).convert("RGB")  # type: ignore[arg-type]
    )
    side = 48
    columns: list[set[int]] = [set() for _ in range(NUM_NOISES)]
    tops: list[int] = []
    for series in range(len(FID)):
        for steps in STEPS:
            for noise in range(NUM_NOISES):
                found = np.argwhere((pixels == grey_level(series, steps, noise)).all(axis=2))
                found = found[found[:, 1] >= 140]  # labels, whose smoothed edges may have any grey, end before
                top, left = found.min(axis=0)
                assert len(found) == side * side
                assert (found.max(axis=0) - (top, left) == side - 1).all()
                columns[noise].add(int(left))
            tops.append(int(top))
    assert [len(lefts) for lefts in columns] == [1] * NUM_NOISES
    assert columns == sorted(columns, key=min)
    assert tops == sorted(tops)


def test_colour_images_keep_their_channels() -> None:
    images = np.zeros((3, 3, 2, 2), np.uint8)
    images[0, 0] = images[1, 1] = images[2, 2] = 200
    canvas = mosaic(images, 2, scale=3, gap=1, gap_value=7)
    assert canvas.shape == (13, 13, 3)
    assert canvas[0, 0].tolist() == [200, 0, 0]
    assert canvas[0, 7].tolist() == [0, 200, 0]
    assert canvas[7, 0].tolist() == [0, 0, 200]
    assert (canvas[6] == 7).all()
    assert (canvas[7:, 7:] == 7).all()
    cell = SampleCell("round1", "euler", 1, images)
    colours = np.asarray(Image.open(io.BytesIO(png(sample_grid_figure([cell])))).convert("RGB")).reshape(-1, 3)
    assert {(200, 0, 0), (0, 200, 0), (0, 0, 200)} <= set(map(tuple, colours.tolist()))


def test_outside_a_repository_the_revision_is_unknown_and_says_why(tmp_path: Path) -> None:
    assert git_revision(tmp_path).startswith("unknown (")
    provenance = collect_provenance(tmp_path)
    assert provenance.num_cores >= 1
    assert re.match(r"\d", provenance.packages["torch"])
