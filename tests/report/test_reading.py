from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.small_image_results import image_row
from safetensors.numpy import save_file

from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import read_few_step_csv, require_cells, write_few_step_csv
from pipeline.report.reading import load_arrays, load_csv, load_json
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class Inner:
    values: tuple[float, ...]


@dataclass(frozen=True)
class Outer:
    by_name: dict[str, Inner]
    share: float | None = None


@dataclass(frozen=True)
class Line:
    step: int
    loss: float | None


def test_what_is_finite_and_of_the_right_kind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"by_name": {"a": {"values": [1, 2.5]}}}), "utf-8")
    assert load_json(path, Outer) == Outer({"a": Inner((1.0, 2.5))})


@pytest.mark.parametrize(
    "content",
    [
        '{"by_name": {"a": {"values": [1, NaN]}}}',
        '{"by_name": {"a": {"values": [Infinity]}}}',
        '{"by_name": {}, "share": 1e999}',
        '{"by_name": {}, "share": "much"}',
        '{"by_name": []}',
        "[]",
        "",
        "[" * 100_000,
        '{"by_name": {"\\ud800": 1}}',
    ],
)
def test_json_that_no_stage_writes_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content, "utf-8")
    with pytest.raises(StraightflowError, match=r"file\.json as its stage writes it"):
        load_json(path, Outer)


@pytest.mark.parametrize("text", ["step,loss\n1,nan\n", "step,loss\n1,inf\n", "step,loss\n1,2,3\n", "step,loss\nx,1\n",
                                  "loss\n1\n", 'step,loss\n1,"2\n'])  # fmt: skip
def test_a_table_that_no_stage_writes_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text("step,loss\n1,0.5\n2,\n", "utf-8")
    assert load_csv(path, Line) == (Line(1, 0.5), Line(2, None))
    path.write_text(text, "utf-8")
    with pytest.raises(StraightflowError, match=r"table\.csv"):
        load_csv(path, Line)


@pytest.mark.parametrize("text", ["", "model,solver,num_steps,nfe\n"])
def test_a_few_step_table_has_columns(tmp_path: Path, text: str) -> None:
    (tmp_path / "few_step.csv").write_text(text, "utf-8")
    with pytest.raises(StraightflowError, match="no column"):
        read_few_step_csv(tmp_path / "few_step.csv", ImageRow)


def test_arrays_are_finite(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    save_file({"x": np.arange(3.0), "images": np.zeros((1, 2), np.uint8)}, path)
    assert load_arrays(path)["x"].tolist() == [0.0, 1.0, 2.0]
    save_file({"x": np.array([0.0, np.nan])}, path)
    with pytest.raises(StraightflowError, match="not finite in x"):
        load_arrays(path)
    for content in (b"", b'\x08\0\0\0\0\0\0\0{"a":1}}', b"\xff" * 40):
        path.write_bytes(content)
        with pytest.raises(StraightflowError, match=r"arrays\.safetensors"):
            load_arrays(path)


def row(**changes: object) -> ImageRow:
    return image_row(**({"model": "a", "nfe": changes.get("num_steps", 1)} | changes))


@pytest.mark.parametrize(
    "changes",
    [{"num_steps": 0}, {"num_steps": 10**30}, {"nfe": -1.0}, {"num_samples": 0}, {"num_chunks": 0}, {"kid_std": -1.0}],
)
def test_a_row_with_a_number_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "few_step.csv"
    write_few_step_csv(path, [row(), row(**{"num_steps": 2} | changes)])
    with pytest.raises(StraightflowError, match=rf"1\.{next(iter(changes))}"):
        read_few_step_csv(path, ImageRow)


def test_columns_that_share_their_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text("step,loss,loss\n1,2,3\n", "utf-8")
    with pytest.raises(StraightflowError, match="several columns of one name"):
        load_csv(path, Line)


def test_a_table_has_each_cell_once_and_of_its_model(tmp_path: Path) -> None:
    path = tmp_path / "few_step.csv"
    write_few_step_csv(path, [row(), row(num_steps=2), row()])
    with pytest.raises(StraightflowError, match="several for a euler 1"):
        read_few_step_csv(path, ImageRow)
    with pytest.raises(StraightflowError, match="found: none"):
        require_cells([], "table")
    with pytest.raises(StraightflowError, match=r"cells of b in table(.|\n)*cells of a"):
        require_cells([row()], "table", model="b")
