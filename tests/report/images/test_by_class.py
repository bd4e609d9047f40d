"""Classes on the page: a grid with a labelled row for each, and distances by class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.small_image_results import COUPLINGS, MODELS, SIZE, STUDENTS, run_config, write_run
from safetensors.numpy import load_file, save_file

from pipeline.metrics.class_measures import CLASS_GRID
from pipeline.report.images.by_class import class_grid_figure, load_class_grid
from pipeline.report.images.report import compose_report
from pipeline.report.images.results import Results, load_results
from pipeline.report.images.samples import load_samples
from pipeline.system.errors import StraightflowError

FIDS = [{"label": label, "num_samples": 500, "num_reference": 160 + label, "fid": 7.0 + label} for label in range(2)]
RECORD = {"solver": "euler", "num_steps": 1, "shown": [0, 1], "fids": FIDS}


def write_classes(root: Path, record: object = RECORD, grid: np.ndarray | None = None) -> Results:
    write_run(root)
    path = root / "metrics/evaluate/few_step.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": record}))
    path = root / "data/images/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"class_names": ["cat", "<dog>"]}))
    path = root / "samples/few_step.safetensors"
    levels = np.arange(10, 30, dtype=np.uint8).reshape(2, 10, 1, 1, 1)[:, :5]
    grid = np.broadcast_to(levels, (2, 5, 1, SIZE, SIZE)).copy() if grid is None else grid
    save_file(load_file(path) | {CLASS_GRID: grid}, path)
    return load_results(root, MODELS, COUPLINGS, STUDENTS)


def test_a_grid_has_a_labelled_row_for_each_class(tmp_path: Path) -> None:
    results = write_classes(tmp_path)
    grid = load_class_grid(tmp_path, results, "few_step")
    assert grid is not None
    assert grid.names == ("0 cat", "1 <dog>")
    figure = class_grid_figure(grid)
    assert [text.get_text() for text in figure.texts[1:]] == list(grid.names)
    block = np.asarray(figure.axes[0].images[0].get_array())[..., 0]
    scale, gap = 6, 2  # 48 // 8 pixels
    for row in range(2):
        for column in range(5):
            middle = block[row * (SIZE * scale + gap) + 20, column * (SIZE * scale + gap) + 20]
            assert middle == 10 + 10 * row + column
    # Beside each other the labels and the middles of the rows.
    heights = [text.get_position()[1] for text in figure.texts[1:]]
    box = figure.axes[0].get_position()
    assert heights[0] == pytest.approx(box.y0 + 0.75 * box.height, abs=0.02)
    assert heights[1] == pytest.approx(box.y0 + 0.25 * box.height, abs=0.02)
    assert load_class_grid(tmp_path, results, "round1") is None
    assert {cell.images.shape for cell in load_samples(tmp_path, MODELS)} == {(5, 1, SIZE, SIZE)}


def test_the_page_has_the_grid_and_the_numbers_of_each_class(tmp_path: Path) -> None:
    write_classes(tmp_path)
    page = compose_report(tmp_path, run_config()).page
    assert "<h2>Classes</h2>" in page
    assert "7.000 (500; 160)" in page
    assert "8.000 (500; 161)" in page
    assert "1 &lt;dog&gt;" in page
    assert "<dog>" not in page


def test_a_page_of_unconditional_models_says_nothing_of_classes(page: str) -> None:
    assert "<h2>Classes</h2>" not in page


@pytest.mark.parametrize(
    ("record", "grid", "message"),
    [
        (RECORD | {"shown": [0, 1, 2]}, None, "of 3 classes of images"),
        (RECORD, np.zeros((2, 5, 1, 4, 4), dtype=np.uint8), "where the data have"),
        (RECORD, np.zeros((2, 5, 1, SIZE, SIZE), dtype=np.float32), "float32"),
    ],
)
def test_a_grid_of_other_classes_is_refused(record, grid, message: str, tmp_path: Path) -> None:
    results = write_classes(tmp_path, record, grid)
    with pytest.raises(StraightflowError, match=message):
        load_class_grid(tmp_path, results, "few_step")
