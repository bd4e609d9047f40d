"""Images through ``datasets``, which opens a local folder as it opens a data set of the hub."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from helpers.pictures import folder_of, png, prepared

from pipeline.config.data import DataConfig
from pipeline.data.check import DataFacts, check_data
from pipeline.data.images import prepare_images
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from stages import paths
from stages.data import main as data_stage


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
        ({"heldout_split": "validation"}, "split 'validation'(.|\n)*train, test"),
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


@pytest.fixture
def on_hub(hub: DataConfig, monkeypatch) -> tuple[DataConfig, str]:
    """The data set as if it were on the hub, and the commit that the hub would name."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    opened = datasets.load_dataset_builder

    def builder(*arguments: object, revision: str | None, **keywords: object) -> datasets.DatasetBuilder:
        found = opened(*arguments, **keywords)
        found.hash = revision
        return found

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    monkeypatch.setattr("pipeline.data.check.hub_revision", lambda *_: commit)
    return hub, commit


def test_check_records_the_commit_and_says_sizes_before_anything_is_downloaded(on_hub, monkeypatch) -> None:
    config, commit = on_hub
    monkeypatch.setattr(datasets.DatasetBuilder, "download_and_prepare", None)  # which would be called
    found: list[DataFacts] = []
    assert check_data(config, {}, tell=found.append)["fingerprint"] == commit
    share = config.model_copy(update={"heldout_split": None, "heldout_share": 0.5, "label_column": None})
    check_data(share, {}, tell=found.append)
    assert found == [DataFacts((4, 3), None), DataFacts((2, 2), 0)]


WRONG = [
    ({"label_column": "knid"}, "did you mean 'kind'"),
    ({"image_column": "img"}, "image column 'img'"),
    ({"image_column": "kind"}, "image column 'kind'"),
    ({"heldout_split": "validation"}, "split 'validation'(.|\n)*train, test"),
    ({"label_column": "image"}, "integers or names in label column 'image'"),
    ({"heldout_split": None, "heldout_share": 0.2}, "3 to train on and 1 held out"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_columns_and_splits_are_judged_by_check_as_by_the_reader(
    on_hub, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    config = on_hub[0].model_copy(update=changes)
    with pytest.raises(StraightflowError, match=message) as checked:
        check_data(config, {})
    with pytest.raises(StraightflowError) as read:
        prepare_images(config, tmp_path / "images", on_hub[1])
    assert sorted(str(checked.value)) == sorted(str(read.value))  # the splits in any order


def test_parts_of_splits_are_left_to_the_reader(on_hub, tmp_path: Path) -> None:
    config = on_hub[0].model_copy(update={"train_split": "train[:50%]", "heldout_split": "train[50%:]"})
    found: list[DataFacts] = []
    check_data(config, {}, tell=found.append)
    assert found == [DataFacts(None, None)]
    assert prepared(config, tmp_path / "images") == {number: number % 2 for number in range(4)}


def test_check_knows_from_the_columns_alone_whether_there_are_classes(on_hub, tmp_path: Path) -> None:
    config = on_hub[0].model_copy(update={"label_column": None})
    with pytest.raises(StraightflowError, match="images without labels"):
        check_data(config, {}, classes_needed_by="features.name: classifier")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    rows = {"image": [{"bytes": png(number), "path": None} for number in range(4)], "label": [0, 1, 1, 0]}
    for split in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"set/{split}.parquet")
    found: list[DataFacts] = []
    check_data(config, {}, classes_needed_by="features.name: classifier", tell=found.append)
    assert found == [DataFacts((4, 4), 3)]


def test_the_data_stage_reads_the_commit_that_check_recorded(on_hub, tmp_path: Path, monkeypatch) -> None:
    hub, commit = on_hub
    monkeypatch.chdir(tmp_path)
    config = SimpleNamespace(data=hub)
    with pytest.raises(StraightflowError, match=r"record of the commit of hub .*data\.json(.|\n)*check"):
        data_stage(config, [])
    asked: list[str | None] = []
    opened = datasets.load_dataset_builder

    def builder(*arguments: object, revision: str | None = None, **keywords: object) -> datasets.DatasetBuilder:
        asked.append(revision)
        return opened(*arguments, revision=revision, **keywords)

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    write_json(paths.DATA_INPUT, check_data(hub, {}))
    monkeypatch.setattr("pipeline.data.check.hub_revision", lambda *_: "f" * 40)  # the hub goes on
    data_stage(config, [])
    assert asked == [commit, commit]
    write_json(paths.DATA_INPUT, {"source": "hub", "location": "another/set", "fingerprint": commit})
    with pytest.raises(StraightflowError, match=r"one of .*another/set"):
        data_stage(config, [])


def test_another_version_than_the_recorded_one_is_not_read(hub: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(StraightflowError, match=r"commit abc of the hub data set(.|\n)*found: version"):
        prepare_images(hub, tmp_path / "images", "abc")


def test_without_network_the_commit_in_the_cache_is_recorded_by_its_name(tmp_path: Path, monkeypatch) -> None:
    def unreachable(*_: object) -> str:
        raise StraightflowError(expected="an answer", found="none", mend="connect to the network")

    monkeypatch.setattr("pipeline.data.check.hub_revision", unreachable)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    config = folder_of(Path("owner/MyImages"), source="hub")
    of_another = {"source": "hub", "location": "owner/others", "fingerprint": "b" * 40}
    with pytest.raises(StraightflowError, match="an answer"):
        check_data(config, of_another)
    (tmp_path / "owner___my_images/default/0.0.0" / ("a" * 40)).mkdir(parents=True)
    (tmp_path / "owner___my_images/default/0.0.0/not-a-commit").mkdir()
    assert check_data(config, of_another)["fingerprint"] == "a" * 40
    assert check_data(config, {**of_another, "location": "owner/MyImages"})["fingerprint"] == "b" * 40
