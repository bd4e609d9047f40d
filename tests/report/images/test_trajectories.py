from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.html_page import Page
from helpers.small_image_results import (
    DRAWN,
    MODELS,
    NUM_NOISES,
    SIZE,
    film_level,
    flat_trajectories,
    run_config,
    write_run,
)
from PIL import Image
from safetensors.numpy import load_file, save_file

from pipeline.config.graph import Headline
from pipeline.report.images.report import compose_report
from pipeline.report.images.trajectories import (
    ModelTrajectories,
    load_trajectories,
    trajectories_script,
    trajectories_section,
)
from pipeline.system.errors import StraightflowError

HEADLINE = Headline("few_step", "round1")
NUM_TIMES = 9
FEW_STEP = "samples/few_step.safetensors"


def films(page: str) -> list[dict[str, str | None]]:
    return [image for image in Page(page).all("img") if "frames" in str(image.get("class")).split()]


def test_every_film_has_all_times_in_frames_of_equal_width_and_a_noise_in_each_row(page: str) -> None:
    drawn = [
        (model, at, part) for model in ("teacher", "few_step") for at in range(len(DRAWN[model])) for part in (0, 1)
    ]
    found = films(page)
    for image, (_, at, part) in zip(found, drawn, strict=True):
        content = str(image["src"]).removeprefix("data:image/png;base64,")
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))).convert("RGB"))
        assert pixels.shape == (NUM_NOISES * (SIZE + 1) - 1, NUM_TIMES * (SIZE + 1), 3)
        for noise in range(NUM_NOISES):
            for time in range(NUM_TIMES):
                frame = pixels[noise * (SIZE + 1) :, time * (SIZE + 1) :][:SIZE, :SIZE]
                assert (frame == film_level(at, part, noise, time)).all()
    words = "from 5 noises, a row each, at 9 times from left to right"
    assert [image["alt"] for image in found[:4]] == [
        f"x_t of teacher, along its ODE, {words}",
        f"the images headed for of teacher, along its ODE, {words}",
        f"x_t of few_step, 1 step, {words}",
        f"the images headed for of few_step, 1 step, {words}",
    ]


def test_the_slider_has_every_time_and_without_its_script_all_are_shown(page: str) -> None:
    times = "0,0.125,0.25,0.375,0.5,0.625,0.75,0.875,1"
    assert f'data-times="{times}" style="--times:9"' in page
    (slider,) = [item for item in Page(page).all("input") if item.get("id") == "time"]
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == ("range", "0", "8", "0")
    assert re.search(r'<p class="control" hidden><label for="time">', page)
    assert f"From left to right: t = {times.replace(',', ', ')}." in page
    assert "moving" not in page.partition("</style>")[2].partition("<script>")[0]


def test_a_run_of_an_older_version_has_no_view(tmp_path: Path) -> None:
    write_run(tmp_path)
    for model in MODELS:
        path = tmp_path / f"samples/{model}.safetensors"
        save_file({name: item for name, item in load_file(path).items() if "trajectory" not in name}, path)
    found = load_trajectories(tmp_path, MODELS, HEADLINE, channels=1)
    assert (found, trajectories_section(found), trajectories_script(found)) == ((), "", "")
    page = compose_report(tmp_path, run_config()).page
    assert "From noise to image" not in page
    assert 'getElementById("time")' not in page


def test_only_the_teacher_and_the_student_in_question_are_shown(tmp_path: Path) -> None:
    write_run(tmp_path)
    found = load_trajectories(tmp_path, MODELS, HEADLINE, channels=1)
    assert [(item.model, [drawn.num_steps for drawn in item.trajectories]) for item in found] == [
        ("teacher", [None]),
        ("few_step", [1, 4]),
    ]
    alone = load_trajectories(tmp_path, ("round1", "few_step"), HEADLINE, channels=1)
    assert [item.model for item in alone] == ["few_step"]


def change(root: Path, **arrays: np.ndarray | None) -> None:
    """Replaces arrays of the student's file by name, with None leaves them out."""
    content = load_file(root / FEW_STEP) | arrays
    save_file({name: item for name, item in content.items() if item is not None}, root / FEW_STEP)


PICTURES = flat_trajectories("few_step")[0].states


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("trajectory/4/headings", None, "no trajectory/4/headings"),
        ("trajectory/4/other", PICTURES, "trajectory/4/other, which is of no trajectory"),
        ("trajectory/04/states", PICTURES, "trajectory/04, which names no number of steps"),
        ("trajectory/0/states", PICTURES, "trajectory/0, which names no number of steps"),
        ("trajectory/x", PICTURES, "trajectory, which names no number of steps"),
        ("trajectory/4/states", PICTURES.astype(np.float32), "no pictures at 9 times"),
        ("trajectory/4/states", PICTURES[:, :8], "no pictures at 9 times"),
        ("trajectory/4/states", PICTURES[0], "no pictures at 9 times"),
        ("trajectory/4/states", PICTURES[:0], "no pictures at 9 times"),
        ("trajectory/4/states", PICTURES[:4], "trajectories of shapes"),
    ],
)
def test_damaged_trajectories_are_named(name: str, values: np.ndarray | None, found: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    change(tmp_path, **{name: None if values is None else np.ascontiguousarray(values)})
    with pytest.raises(StraightflowError, match=rf"{FEW_STEP}(.|\n)*{found}") as refused:
        compose_report(tmp_path, run_config())
    assert "`dvc repro`" in refused.value.mend


def test_trajectories_of_other_images_than_the_data_or_than_the_teachers_are_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    with pytest.raises(StraightflowError, match="trajectories of 1 channels, where the data have 3"):
        load_trajectories(tmp_path, MODELS, HEADLINE, channels=3)
    change(tmp_path, **{name: None for name in load_file(tmp_path / FEW_STEP) if name.startswith("trajectory/1/")})
    change(tmp_path, **{f"trajectory/4/{part}": PICTURES[:4] for part in ("states", "headings")})
    with pytest.raises(StraightflowError, match="trajectories of one shape for all models"):
        load_trajectories(tmp_path, MODELS, HEADLINE, channels=1)


def test_names_are_escaped() -> None:
    section = trajectories_section([ModelTrajectories("<b>", tuple(flat_trajectories("teacher")))])
    assert "<b>" not in section
    assert "&lt;b&gt; <span>along its ODE" in section
