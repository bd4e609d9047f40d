"""A folder of pictures: what check counted is what is read, with the labels that the folder says."""

from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from helpers.pictures import folder_of, png, prepared, save_pictures
from PIL import Image

from pipeline.config.data import DataConfig
from pipeline.data.check import check_data
from pipeline.data.image_source import find_images
from pipeline.data.images import prepare_images
from pipeline.system.errors import StraightflowError


def refused(config: DataConfig, folder: Path) -> str:
    """The one message with which both check and the reader refuse."""
    with pytest.raises(StraightflowError) as checked:
        check_data(config, {})
    with pytest.raises(StraightflowError) as read:
        prepare_images(config, folder)
    assert str(checked.value) == str(read.value)
    assert not folder.exists()
    return str(checked.value)


def class_names(folder: Path) -> list[str] | None:
    return json.loads((folder / "info.json").read_text()).get("class_names")


@pytest.mark.parametrize(
    "classes",
    [
        ["bus", "car", "train"],
        ["bus", "test", "train"],
        ["a", "validation-set", "Test"],
        ["train-0", "train-1", "test-00000-of-00001"],
        ["[a]", "b*", "c?"],
    ],
)
def test_class_folders_are_classes_whatever_they_are_called(tmp_path: Path, classes: list[str]) -> None:
    save_pictures(tmp_path / "pictures [v2]", [f"{name}/train{index}.png" for name in classes for index in range(30)])
    config = folder_of(tmp_path / "pictures [v2]")
    content = check_data(config, {})["content"]
    assert content == f"45 images to train on, 45 held out, 3 classes ({', '.join(sorted(classes))})"
    expected = {number: sorted(classes).index(classes[number // 30]) for number in range(90)}
    assert prepared(config, tmp_path / "images") == expected
    assert class_names(tmp_path / "images") == sorted(classes)


def test_every_visible_picture_is_read_at_any_depth_and_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / ".cache/pictures"
    save_pictures(folder, ["0.png", "1.PNG", "deep/2.png", "deep/er/3.png", "deep/er/test.4.png", "train.png"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/linked.png").write_bytes(png(6))
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "7.png").symlink_to(folder / "../8.png")
    (tmp_path / ".cache/8.png").write_bytes(png(7))
    for name in ("._0.png", ".hidden.png", ".thumbnails/0.png", "deep/.git/a.png"):
        save_pictures(folder, [name])
        (folder / name).write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "empty").mkdir()
    config = folder_of(folder)
    found = check_data(config, {})["content"]
    assert found == (
        "4 images to train on, 4 held out, without labels, as '0.png' is beside the folders that others are in"
    )
    assert prepared(config, tmp_path / "images") == dict.fromkeys(range(8))
    assert class_names(tmp_path / "images") is None


def test_one_common_folder_above_the_images_is_no_class(tmp_path: Path) -> None:
    save_pictures(tmp_path / "flat", [f"all/{number}.png" for number in range(4)])
    assert set(prepared(folder_of(tmp_path / "flat"), tmp_path / "1").values()) == {None}
    save_pictures(tmp_path / "classes", [f"all/{'ab'[number % 2]}/x/{number}.png" for number in range(4)])
    assert prepared(folder_of(tmp_path / "classes"), tmp_path / "2") == {0: 0, 1: 1, 2: 0, 3: 1}


@pytest.mark.parametrize(
    ("folders", "expected", "names"),
    [
        (["0", "2", "10"], [0, 2, 10], None),
        (["1", "2", "10"], [0, 2, 1], ["1", "10", "2"]),
        (["0", "1", "a"], [0, 1, 2], ["0", "1", "a"]),
    ],
)
def test_folders_numbered_from_0_are_their_numbers(
    tmp_path: Path, folders: list[str], expected: list[int], names: list[str] | None
) -> None:
    save_pictures(tmp_path / "pictures", [f"{name}/{index}.png" for name in folders for index in range(2)])
    found = prepared(folder_of(tmp_path / "pictures"), tmp_path / "images")
    assert [found[number] for number in range(0, 6, 2)] == [found[number] for number in range(1, 6, 2)] == expected
    assert class_names(tmp_path / "images") == names


def test_names_that_are_no_text_are_classes_like_others(tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xfe"), "a\nb", "é"]
    save_pictures(tmp_path / "pictures", [f"{name}/{index}.png" for name in names for index in range(2)])
    config = folder_of(tmp_path / "pictures")
    assert str(check_data(config, {})["content"]).endswith(r"3 classes ('a\nb', é, '\udcfe')")
    assert prepared(config, tmp_path / "images") == {0: 2, 1: 2, 2: 0, 3: 0, 4: 1, 5: 1}


def split_folders(folder: Path) -> None:
    names = [f"{split}/{name}/{index}.png" for split in ("train", "test", "more") for name in "ab" for index in (0, 1)]
    save_pictures(folder, names)


def test_named_split_folders_are_the_splits(tmp_path: Path) -> None:
    split_folders(tmp_path / "pictures")
    config = folder_of(tmp_path / "pictures", heldout_split="test")
    found = find_images(config)
    assert [len(found.train), len(found.heldout)] == [4, 4]
    assert prepared(config, tmp_path / "1") == {0: 0, 1: 0, 2: 1, 3: 1, 4: 0, 5: 0, 6: 1, 7: 1}
    assert np.load(tmp_path / "1/heldout_images.npy")[:, 0, 0, 0].tolist() == [4, 5, 6, 7]
    alone = folder_of(tmp_path / "pictures", train_split="more")
    assert prepared(alone, tmp_path / "2") == {8: 0, 9: 0, 10: 1, 11: 1}


def test_folders_that_look_like_splits_and_are_not_named_so_are_refused(tmp_path: Path) -> None:
    for names in (["train/0.png", "test/1.png"], ["train/a/0.png", "train/b/1.png", "Valid/a/2.png", "3.png"]):
        folder = tmp_path / str(len(names))
        save_pictures(folder, names)
        assert "data.heldout_split" in refused(folder_of(folder), tmp_path / "images")
    split_folders(tmp_path / "pictures")
    message = refused(folder_of(tmp_path / "pictures", heldout_split="tset"), tmp_path / "images")
    assert "split 'tset'" in message
    assert "more, test, train" in message


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("values", "expected", "names"),
    [
        ([0, 1, 2, 0], [0, 1, 2, 0], None),
        (["dog", "cat", "cat", "eel"], [1, 0, 0, 2], ["cat", "dog", "eel"]),
    ],
)
def test_metadata_gives_labels(
    tmp_path: Path, ending: str, values: list[object], expected: list[int], names: list[str] | None
) -> None:
    folder = tmp_path / "pictures"
    save_pictures(folder, ["x/0.png", "x/1.png", "y/2.png", "3.png"])
    files = ["./x/0.png", "x/1.png", "y/2.png", "3.png"]
    rows = [{"file_name": file, "kind": value} for file, value in zip(files, values, strict=True)]
    write_metadata(folder / f"metadata.{ending}", rows[::-1])
    config = folder_of(folder, label_column="kind")
    assert prepared(config, tmp_path / "images") == dict(enumerate(expected))
    assert class_names(tmp_path / "images") == names


def write_metadata(path: Path, rows: list[dict[str, object]]) -> None:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(
            "\ufeff" + "".join(",".join(map(str, row)) + "\n" for row in [rows[0], *map(dict.values, rows)])
        )


def test_a_table_in_a_subfolder_counts_from_there(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", ["a/0.png", "a/1.png", "b/2.png", "b/3.png"])
    (tmp_path / "pictures/a/metadata.csv").write_text("file_name,label\n0.png,5\n1.png,0\n")
    (tmp_path / "pictures/b/metadata.csv").write_text("file_name,label\n2.png,1\n../b/3.png,1\n")
    assert prepared(folder_of(tmp_path / "pictures"), tmp_path / "images") == {0: 5, 1: 0, 2: 1, 3: 1}


HEAD = "file_name,label\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("filename,label\n0.png,0\n1.png,1\n", "columns filename, label"),
        ("file_name;label\n0.png;0\n1.png;1\n", "column file_name"),
        (HEAD + "0.png,0\n", "none for 1.png"),
        (HEAD + "0.png,0\n1.png,1\n2.png,1\n", "no image '2.png', row 3"),
        (HEAD + "0.png,0\n1.png,1\n1.png,0\n", "a second row for '1.png', row 3"),
        (HEAD + "0.png,0\n../outside.png,1\n", "no image '../outside.png'"),
        (HEAD + "0.png,0\n1.png\n", "1 cells under 2 columns in row 2"),
        ("file_name,label,label\n0.png,0,1\n1.png,1,0\n", "two columns of one name"),
        ("", "an empty file"),
        (HEAD + "0.png,0\n1.png,\n", "no label at .*1.png"),
        (HEAD + "0.png,0\n1.png,1.0\n", "1.0 at .*1.png"),
        (HEAD + "0.png,0\n1.png,-1\n", "-1 at .*1.png"),
        (HEAD + "0.png,0\n1.png,cat\n", "0 at .*0.png and 'cat' at .*1.png"),
        (HEAD + "0.png,1\n1.png,2\n", "labels 1 to 2"),
        (HEAD + "0.png,0\n1.png,99999999999999999999999\n", "99999999999999999999 at .*1.png"),
        ('file_name,label\n0.png,0\n"1.png,1\n', "readable table"),
    ],
)
def test_wrong_tables_are_refused_by_name(tmp_path: Path, table: str, message: str) -> None:
    save_pictures(tmp_path / "pictures", ["0.png", "1.png"])
    save_pictures(tmp_path, ["outside.png"])
    (tmp_path / "pictures/metadata.csv").write_text(table)
    config = folder_of(tmp_path / "pictures")
    with pytest.raises(StraightflowError, match=message):
        check_data(config, {})
    refused(config, tmp_path / "images")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"file_name": "0.png", "label": 0.5}\n{"file_name": "1.png", "label": 1}\n', "float 0.5 at"),
        ('{"file_name": "0.png", "label": [0]}\n{"file_name": "1.png", "label": 1}\n', "list"),
        ('{"file_name": "0.png"}\n{"file_name": "1.png", "label": 1}\n', "no label at .*0.png"),
        ("[]\n", "row 1 is not an object"),
        ("{\n", "readable table"),
        ("[" * 100_000, "readable table"),
        ('{"file_name": 5}\n', "column file_name"),
        ('{"file_name": "0.png", "label": 0, "label": 1}\n{"file_name": "1.png", "label": 1}\n', "'label' twice"),
    ],
)
def test_wrong_json_tables_are_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    save_pictures(tmp_path / "pictures", ["0.png", "1.png"])
    (tmp_path / "pictures/metadata.jsonl").write_text(content)
    with pytest.raises(StraightflowError, match=message):
        check_data(folder_of(tmp_path / "pictures"), {})


def test_a_table_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", ["0.png", "1.png"])
    (tmp_path / "pictures/metadata.csv").write_bytes("file_name,label\n0.png,é\n1.png,a\n".encode("latin-1"))
    assert "UTF-8" in refused(folder_of(tmp_path / "pictures"), tmp_path / "images")


def test_a_misspelt_label_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", ["0.png", "1.png"])
    (tmp_path / "pictures/metadata.csv").write_text("file_name,kind\n0.png,0\n1.png,1\n")
    assert "did you mean 'kind'" in refused(folder_of(tmp_path / "pictures", label_column="knid"), tmp_path / "images")
    (tmp_path / "pictures/metadata.csv").unlink()
    assert "'label'" in refused(folder_of(tmp_path / "pictures", label_column="label"), tmp_path / "images")
    assert "data.image_column" in refused(folder_of(tmp_path / "pictures", image_column="img"), tmp_path / "images")


def test_the_record_follows_the_table_of_labels(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", [f"{number}.png" for number in range(4)])
    table = tmp_path / "pictures/metadata.csv"
    records = []
    for labels, time in (("0101", 1), ("0110", 2)):
        table.write_text(HEAD + "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels)))
        os.utime(table, (time, time))
        records.append(check_data(folder_of(tmp_path / "pictures"), {})["fingerprint"])
    assert records[0] != records[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: (folder / "x.png").symlink_to("nowhere"), "a link to nothing"),
        (lambda folder: os.mkfifo(folder / "x.png"), "something else"),
        (lambda folder: (folder / "again").symlink_to(folder), "links to"),
        (lambda folder: (folder / "x.heic").write_bytes(b""), r"x\.heic"),
        (lambda folder: (folder / "x.png").write_bytes(b""), r"readable image at .*x\.png"),
        (lambda folder: (folder / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), r"readable image at .*x\.png"),
        (lambda folder: (folder / "metadata.csv").mkdir(), None),
        (lambda folder: (folder / "x.png").mkdir(), None),
    ],
)
def test_what_is_no_picture_is_named_and_never_skipped(tmp_path: Path, make, message: str | None) -> None:
    save_pictures(tmp_path / "pictures", [f"{number}.png" for number in range(4)])
    make(tmp_path / "pictures")
    config = folder_of(tmp_path / "pictures")
    if message is None:
        assert len(prepared(config, tmp_path / "images")) == 4
    else:
        with pytest.raises(StraightflowError, match=message):
            check_data(config, {})
        refused(config, tmp_path / "images")


def test_an_image_that_vanishes_while_images_are_read_is_named(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", [f"{number}.png" for number in range(4)])
    source = find_images(folder_of(tmp_path / "pictures", heldout_share=0.5))
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    with pytest.raises(StraightflowError, match=r"pictures/\d\.png"):
        list(source.train.decode())


@pytest.mark.parametrize("source", ["folder", "parquet"])
def test_a_full_disk_is_not_told_as_an_error_of_the_images(tmp_path: Path, monkeypatch, source: str) -> None:
    save_pictures(tmp_path / "pictures", [f"{number}.png" for number in range(4)])
    table = pyarrow.table({"image": [png(number) for number in range(4)]})
    pyarrow.parquet.write_table(table, tmp_path / "pictures.parquet")
    location = tmp_path / ("pictures" if source == "folder" else "pictures.parquet")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.system.progress.Progress.advance", full)  # between two images
    with pytest.raises(OSError, match="No space left") as raised:
        prepare_images(folder_of(location, source=source), tmp_path / "images")
    assert raised.value.errno == errno.ENOSPC
    assert sorted(item.name for item in tmp_path.iterdir()) == ["pictures", "pictures.parquet"]


def test_images_are_turned_as_their_exif_data_say(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    array = np.arange(64, dtype=np.uint8).reshape(8, 8)
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn clockwise
    for number in range(4):
        Image.fromarray(array).save(tmp_path / f"pictures/{number}.png", exif=turned)
    prepare_images(folder_of(tmp_path / "pictures"), tmp_path / "images")
    assert np.array_equal(np.load(tmp_path / "images/train_images.npy")[0, 0], np.rot90(array, -1))


def test_frames_and_depth_that_would_be_lost_are_refused(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", ["0.png", "1.png", "2.png"])
    frames = [Image.new("L", (8, 8), value) for value in (0, 99)]
    frames[0].save(tmp_path / "pictures/3.gif", save_all=True, append_images=frames[1:])
    assert "several frames" in refused(folder_of(tmp_path / "pictures", channels=3), tmp_path / "images")
    (tmp_path / "pictures/3.gif").unlink()
    (tmp_path / "pictures/3.png").write_bytes(deep_png())
    assert "16 bits" in refused(folder_of(tmp_path / "pictures", channels=3), tmp_path / "images")
    (tmp_path / "pictures/3.png").unlink()
    (tmp_path / "pictures/3.ppm").write_bytes(b"P6 8 8 65535\n" + bytes(8 * 8 * 3 * 2))
    assert "16 bits" in refused(folder_of(tmp_path / "pictures", channels=3), tmp_path / "images")


def deep_png() -> bytes:
    """An 8×8 PNG of 16 bits in each of three channels."""
    rows = zlib.compress((b"\0" + bytes(8 * 3 * 2)) * 8)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_too_few_images_are_refused_by_check(tmp_path: Path, share: float) -> None:
    save_pictures(tmp_path / "pictures", [f"{number}.png" for number in range(5)])
    assert "at least two" in refused(folder_of(tmp_path / "pictures", heldout_share=share), tmp_path / "images")


def test_check_says_what_needs_labels_that_there_are_not(tmp_path: Path) -> None:
    save_pictures(tmp_path / "flat", [f"{number}.png" for number in range(4)])
    check_data(folder_of(tmp_path / "flat"), {})
    with pytest.raises(StraightflowError, match=r"as features needs(.|\n)*without labels"):
        check_data(folder_of(tmp_path / "flat"), {}, classes_needed_by="features")
    save_pictures(tmp_path / "classes", [f"{'ab'[number % 2]}/{number}.png" for number in range(8)])
    check_data(folder_of(tmp_path / "classes"), {}, classes_needed_by="features")
