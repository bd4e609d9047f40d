from __future__ import annotations

import base64
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.html_page import HOSTILE, Page
from helpers.small_image_results import (
    COUPLINGS_FID,
    DRAWN,
    FID,
    MODELS,
    NUM_NOISES,
    SIZE,
    STEPS,
    grey_level,
    write_run,
)
from matplotlib.figure import Figure
from PIL import Image

from pipeline.data.mosaic import mosaic
from pipeline.report.drawing import draw_both, png
from pipeline.report.images.figures import sample_grid_figure
from pipeline.report.images.samples import SampleCell, load_samples
from pipeline.report.images.summary import format_fid
from pipeline.report.provenance import collect_provenance, git_revision
from pipeline.report.theme import DARK, LIGHT, Theme


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
    panels = 3  # the teacher, and the student at 1 and 4 of 1, 2, 4 steps
    films = 2 * len(DRAWN["teacher"] + DRAWN["few_step"])  # states and headings
    assert len(images) == 6 + len(FID) * len(STEPS) + panels + films
    assert all((image["alt"] or "").strip() for image in images)
    for source in [image["src"] for image in images] + [item["srcset"] for item in Page(page).all("source")]:
        pixels = decode(source)
        assert pixels.min() != pixels.max()


def test_user_strings_are_escaped_and_the_page_is_made_for_phones_and_both_schemes(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") == 2
    assert any(item.get("name") == "viewport" for item in Page(page).all("meta"))
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "2.00 [1.74, 2.30] times that of its couplings" in page
    assert "There is no second judge" in page
    assert page.count("<tr>") >= 1 + len(FID) * len(STEPS)


def test_the_answer_and_the_images_come_before_the_curve_the_ledger_and_the_tables(page: str) -> None:
    order = [
        "One network call instead of 16: 16 times as fast, 2.50 times the FID.",
        'class="panel"',
        'class="readings"',
    ]
    order += ["Total from the teacher to each model", "<caption>FID of few_step", "<caption>Every measured cell"]
    places = [page.index(words) for words in order]
    assert places == sorted(places)
    folded = page[page.rindex("<details>", 0, places[-1]) : places[-1]]
    assert "</details>" not in folded


def test_the_curve_has_its_values_as_text_at_every_step_count(page: str) -> None:
    lists = re.findall(r'<li tabindex="0" style="left:([\d.]+)%;width:([\d.]+)%.*?<b>(.*?)</b><dl>(.*?)</dl>', page)
    assert [title for _, _, title, _ in lists] == ["1 step", "4 steps", "16 steps"]
    for at, (_, _, _, values) in enumerate(lists):
        # Intervals reach a tenth of the FID either way; the lowest FID comes first.
        fids = [fids[at] for fids in FID.values()] + [COUPLINGS_FID]
        found = [float(value) for value in re.findall(r"<dd>([\d.]+) \[", values)]
        assert found == sorted(fids)
        assert f"few_step · euler</dt><dd>{format_fid(FID['few_step', 'euler'][at])} [" in values
        assert "couplings@round1</dt><dd>2.50 [2.25, 2.75]" in values
    ends = [(float(left), float(left) + float(width)) for left, width, _, _ in lists]
    assert ends[0][0] > 0
    assert ends[-1][1] < 100
    for before, after in itertools.pairwise(ends):
        assert before[1] == pytest.approx(after[0], abs=0.02)


def test_readings_lie_where_the_figure_has_its_values() -> None:
    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(4, 2), facecolor=theme.background)
        axes = figure.add_axes((0.25, 0.1, 0.5, 0.8))  # x from 0 to 4 lies at 0.25 to 0.75 of the width
        axes.set_xlim(0, 4)
        return figure

    readings = draw_both("", draw, {3.0: ("c", ()), 0.0: ("a", ()), 1.0: ("b", ())}).readings
    assert [item.title for item in readings] == ["a", "b", "c"]
    places = [(item.left, item.centre, item.right) for item in readings]
    expected = [(0.25, 0.25, 0.3125), (0.3125, 0.375, 0.5), (0.5, 0.625, 0.75)]
    assert np.array(places) == pytest.approx(np.array(expected), abs=1e-3)


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
