"""Images through ``datasets``, which opens a local folder as it opens a data set of the hub."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from helpers.pictures import folder_of, png, prepared

from pipeline.config.data import DataConfig
from pipeline.data.images import prepare_images
from pipeline.system.errors import StraightflowError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> DataConfig:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"image": datasets.Image(), "kind": datasets.Value("string")})
    (tmp_path / "set").mkdir()
    for split, numbers in (("train", range(4)), ("test", range(4, 7))):
        rows = {
            "image": [{"bytes": png(number), "path": None} for number in numbers],
            "kind": ["ab"[number % 2] for number in numbers],
        }
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"set/{split}.parquet")
    return folder_of(tmp_path / "set", source="hub", heldout_split="test", label_column="kind")


def test_splits_and_labels_of_the_hub_are_read(hub: DataConfig, tmp_path: Path) -> None:
    assert prepared(hub, tmp_path / "images") == {number: number % 2 for number in range(7)}


def test_a_cache_that_cannot_be_written_is_not_told_as_an_error_of_the_data(hub: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(StraightflowError, match=r"right to write in .*cache") as refused:
        prepare_images(hub, tmp_path / "images")
    assert "HF_HOME" in refused.value.mend


def test_a_full_disk_is_not_told_as_an_error_of_the_data(hub: DataConfig, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datasets.arrow_writer.ArrowWriter.write_table", full)
    monkeypatch.setattr("datasets.arrow_writer.ArrowWriter.finalize", full)
    with pytest.raises(StraightflowError, match=r"room and the right to write(.|\n)*set HF_HOME"):
        prepare_images(hub, tmp_path / "images")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_column": "knid"}, "did you mean 'kind'"),
        ({"image_column": "img"}, "image column 'img'"),
        ({"heldout_split": "validation"}, "readable hub data set"),
        ({"location": "nowhere/to/be/found"}, "readable hub data set"),
    ],
)
def test_what_the_hub_does_not_have_is_refused(
    hub: DataConfig, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(StraightflowError, match=message):
        prepare_images(hub.model_copy(update=changes), tmp_path / "images")


def test_a_data_set_that_is_not_readable_is_told_as_that(hub: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "set/train.parquet").write_bytes(b"not parquet")
    with pytest.raises(StraightflowError, match="readable hub data set"):
        prepare_images(hub, tmp_path / "images")
