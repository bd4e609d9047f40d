"""Images in parquet files: check and the reader see the same columns and rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from helpers.pictures import folder_of, png, prepared
from PIL import Image

from pipeline.config.data import DataConfig
from pipeline.data.check import check_data
from pipeline.data.images import prepare_images
from pipeline.system.errors import StraightflowError


def write(path: Path, row_group_size: int = 3, **columns: Sequence[object] | pyarrow.Array) -> None:
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), path, row_group_size=row_group_size)


def parquet_of(location: Path, **changes: object) -> DataConfig:
    return folder_of(location, **{"source": "parquet"} | changes)


def refused(config: DataConfig, folder: Path) -> str:
    """The one message with which both check and the reader refuse."""
    with pytest.raises(StraightflowError) as checked:
        check_data(config, {})
    with pytest.raises(StraightflowError) as read:
        prepare_images(config, folder)
    assert str(checked.value) == str(read.value)
    return str(checked.value)


STRUCTS = [{"bytes": png(number), "path": None} for number in range(10)]
BYTES = [png(number) for number in range(10)]


@pytest.mark.parametrize(
    "cells",
    [
        STRUCTS,
        [{"bytes": png(number)} for number in range(10)],
        BYTES,
        pyarrow.array(BYTES, pyarrow.large_binary()),
    ],
)
def test_images_are_read_as_structs_and_as_plain_bytes(tmp_path: Path, cells) -> None:
    path = tmp_path / "pictures [v2].parquet"
    write(path, image=cells, label=[number % 3 for number in range(10)])
    config = parquet_of(path)
    assert check_data(config, {})["content"] == "5 images to train on, 5 held out, 3 classes"
    assert prepared(config, tmp_path / "images") == {number: number % 3 for number in range(10)}


def test_a_file_of_datasets_is_read_as_it_was_written(tmp_path: Path) -> None:
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"img": [Image.new("L", (8, 8), number) for number in range(6)], "label": [0, 1] * 3}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    assert prepared(parquet_of(tmp_path), tmp_path / "images") == {number: number % 2 for number in range(6)}


def test_splits_are_the_configured_files_and_no_others(tmp_path: Path) -> None:
    write(tmp_path / "train.PARQUET", image=BYTES[:4], kind=["b", "a", "b", "b"])
    write(tmp_path / "test.parquet", image=BYTES[4:6], kind=["c", "a"])
    for name in ("._train.parquet", "more.parquet"):
        (tmp_path / name).write_bytes(b"not parquet")
    config = parquet_of(tmp_path, heldout_split="test", label_column="kind")
    before = check_data(config, {})
    assert prepared(config, tmp_path / "images") == {0: 1, 1: 0, 2: 1, 3: 1, 4: 2, 5: 0}
    assert json.loads((tmp_path / "images/info.json").read_text())["class_names"] == ["a", "b", "c"]
    write(tmp_path / "test.parquet", image=BYTES[4:7], kind=["c", "a", "b"])
    assert check_data(config, {})["fingerprint"] != before["fingerprint"]


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        ({"text": ["a"] * 10}, {}, "image columns .* among .*text"),
        ({"image": [[0.5]] * 10}, {}, "one image column"),
        ({"a": STRUCTS, "b": STRUCTS}, {}, "one image column"),
        ({"image": STRUCTS}, {"image_column": "img"}, "image column 'img'"),
        ({"image": STRUCTS, "text": ["a"] * 10}, {"image_column": "text"}, "image column 'text'"),
        (
            {"image": [{"bytes": None, "path": "a.png"}, *STRUCTS]},
            {"image_column": "image"},
            r"its path 'a\.png' alone",
        ),
        ({"image": [STRUCTS[0], None, *STRUCTS]}, {}, "row 1 of split 'train' in .*(.|\n)*an empty cell"),
        ({"image": [b"abc", *BYTES]}, {}, "row 0 of split 'train'(.|\n)*none of the formats"),
        ({"image": STRUCTS, "kind": [0] * 10}, {"label_column": "knid"}, "did you mean 'kind'"),
        (
            {"image": STRUCTS, "label": [0.0, 1.0] * 5},
            {},
            "found: double",
        ),
        ({"image": STRUCTS, "label": [0, None] * 5}, {}, "no label at row 1"),
        ({"image": STRUCTS, "label": [0, -1] * 5}, {}, "-1 at row 1"),
        ({"image": STRUCTS, "label": [[0], [1]] * 5}, {}, "list"),
        ({"image": pyarrow.array([], pyarrow.binary())}, {}, "no rows"),
        ({"image": STRUCTS[:3]}, {}, "at least two images in each split"),
    ],
)
def test_wrong_columns_and_cells_are_refused_by_name(
    tmp_path: Path, columns: dict[str, list[object]], changes: dict[str, object], message: str
) -> None:
    write(tmp_path / "train.parquet", **columns)
    config = parquet_of(tmp_path, **{"heldout_share": 0.2} | changes)
    with pytest.raises(StraightflowError, match=message):
        check_data(config, {})
    with pytest.raises(StraightflowError, match=message.replace("row 0", r"row \d").replace("row 1", r"row \d")):
        prepare_images(config, tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_labels_in_one_split_alone_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", image=BYTES, label=[0, 1] * 5)
    write(tmp_path / "test.parquet", image=BYTES, lable=[0, 1] * 5)
    message = refused(parquet_of(tmp_path, heldout_split="test"), tmp_path / "images")
    assert "test.parquet" in message
    assert "did you mean 'lable'" in message


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"not parquet" * 10])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.parquet").write_bytes(content)
    assert "readable parquet file at" in refused(parquet_of(tmp_path), tmp_path / "images")


def test_a_file_with_broken_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    write(path, image=BYTES, label=[0, 1] * 5)
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(bytes(content))
    with pytest.raises(StraightflowError, match=r"train\.parquet"):
        check_data(parquet_of(tmp_path), {})


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no parquet files" in refused(parquet_of(tmp_path / "empty"), tmp_path / "images")


@pytest.mark.parametrize("column", ["image", "label"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, column: str) -> None:
    columns = {"image": pyarrow.array(STRUCTS), "label": pyarrow.array([0, 1] * 5)}
    table = pyarrow.Table.from_arrays([*columns.values(), columns[column]], names=[*columns, column])
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    message = refused(parquet_of(tmp_path / "data.parquet", image_column="image"), tmp_path / "images")
    assert f"one column {column!r}" in message
    assert "2 of that name" in message


def test_two_columns_of_one_name_beside_pictures_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = [f"{number}.png" for number in range(10)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(png(number))
    columns = [pyarrow.array(names), pyarrow.array([0, 1] * 5), pyarrow.array([1, 0] * 5)]
    table = pyarrow.Table.from_arrays(columns, names=["file_name", "label", "label"])
    pyarrow.parquet.write_table(table, folder / "metadata.parquet")
    assert "two columns of one name" in refused(folder_of(folder), tmp_path / "images")
