from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.html_page import Page
from helpers.small_image_results import COUPLINGS, FID, MODELS, SIZE, STUDENTS, grey_level, write_run
from PIL import Image

from pipeline.config.graph import Headline
from pipeline.metrics.image_row import ImageRow
from pipeline.report.drawing import png
from pipeline.report.html import SHARP_PIXELS
from pipeline.report.images.results import load_results
from pipeline.report.images.samples import SampleCell, load_samples
from pipeline.report.images.side_by_side import choose_panels, side_by_side, side_by_side_figure
from pipeline.report.theme import DARK, LIGHT, Theme

HEADLINE = Headline("few_step", "round1")
SERIES = list(FID)
SHOWN = ((SERIES.index(("teacher", "unipc")), 16), (SERIES.index(("few_step", "euler")), 1), (3, 4))


@pytest.fixture
def run(tmp_path: Path) -> tuple[tuple[ImageRow, ...], tuple[SampleCell, ...]]:
    write_run(tmp_path)
    return load_results(tmp_path, MODELS, COUPLINGS, STUDENTS).rows, load_samples(tmp_path, MODELS)


def test_the_teachers_best_and_the_few_steps_keep_every_noise_in_its_place(run) -> None:
    panels = choose_panels(*run, HEADLINE)
    assert [(panel.name, panel.note) for panel in panels] == [
        ("teacher, 16 steps", "FID 2.00 · 2 s per 1,000"),
        ("few_step, 1 step", "FID 5.00 · 0.12 s per 1,000"),
        ("few_step, 4 steps", "FID 4.50 · 0.5 s per 1,000"),
    ]
    assert choose_panels(*run, HEADLINE, 1.5)[0].note == "FID 2.00 · 3.5 s per 1,000"
    for panel, (series, steps) in zip(panels, SHOWN, strict=True):
        # Of five noises, four fill a square.
        assert [set(image.ravel()) for image in panel.images] == [{grey_level(series, steps, at)} for at in range(4)]


def test_fids_beside_each_other_are_of_one_number_of_samples(run) -> None:
    rows, cells = run
    few = next(row for row in rows if row.cell == ("few_step", "euler", 4))
    panels = choose_panels(
        [*rows, replace(few, num_samples=60_000, fid=1.0, fid_low=1.0, fid_high=1.0)], cells, HEADLINE
    )
    assert panels[-1].note.startswith("FID 4.50")
    alone = choose_panels([row for row in rows if row is not few], cells, HEADLINE)
    assert (alone[-1].name, alone[-1].note) == ("few_step, 4 steps", "")


def test_without_a_teacher_the_student_is_shown_alone_and_without_both_nothing(run) -> None:
    rows, cells = run
    students = [row for row in rows if row.model != "teacher"]
    names = [panel.name for panel in choose_panels(students, cells, HEADLINE)]
    assert names == ["few_step, 1 step", "few_step, 4 steps"]
    assert side_by_side(choose_panels((), (), HEADLINE)) == ""


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_figure_has_the_panels_from_left_to_right_unblurred(run, theme: Theme) -> None:
    panels = choose_panels(*run, HEADLINE)
    figure = png(side_by_side_figure(panels, theme))
    pixels = np.asarray(Image.open(io.BytesIO(figure)).convert("RGB"))[48:]  # below the names
    lefts = []
    for series, steps in SHOWN:
        for noise in range(4):
            found = np.argwhere((pixels == grey_level(series, steps, noise)).all(axis=2))
            assert len(found) == 64 * 64
            assert (np.ptp(found, axis=0) == 63).all()
            lefts.append((found.min(axis=0)[1], -noise))
    assert [left for left, noise in lefts if noise == 0] == sorted(left for left, noise in lefts if noise == 0)


@pytest.mark.parametrize(("size", "rows", "sharp"), [(SIZE, 4, True), (64, 4, True), (256, 2, False), (1024, 2, False)])
def test_large_images_are_fewer_and_not_drawn_as_squares(size: int, rows: int, sharp: bool) -> None:
    images = np.random.default_rng(0).integers(0, 255, (16, 3, size, size), dtype=np.uint8)
    panels = choose_panels((), [SampleCell("few_step", "euler", 1, images)], HEADLINE)
    assert [len(panel.images) for panel in panels] == [rows * rows]
    (image,) = Page(side_by_side(panels)).all("img")
    assert image["class"] == ("panel" if sharp else "panel smooth")
    assert (rows * (size + 1) - 1 <= SHARP_PIXELS) == sharp
    assert image["alt"] == f"{rows * rows} images of few_step, 1 step, from the same noises as those beside them"
