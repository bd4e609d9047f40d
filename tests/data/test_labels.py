from __future__ import annotations

import decimal

import numpy as np
import pytest

from pipeline.data.labels import MAX_CLASSES, Labels, number_labels, require_classes
from pipeline.system.errors import StraightflowError


def numbered(*values: object) -> Labels:
    return number_labels({"train": values}, lambda split, row: f"row {row} of {split}")


@pytest.mark.parametrize(
    ("values", "expected", "names"),
    [
        ((0, 3, 1), [0, 3, 1], None),
        ((" 0", "+3 ", "007"), [0, 3, 7], None),
        (("-0", "1", "1"), [0, 1, 1], None),
        ((3, 7), [3, 7], None),
        (("dog", " cat", "dog"), [1, 0, 1], ("cat", "dog")),
        (("b", "a", "B"), [2, 1, 0], ("B", "a", "b")),
        ((True, False), [1, 0], ("False", "True")),
        (("n01", "1e", "e5"), [2, 0, 1], ("1e", "e5", "n01")),
        ((MAX_CLASSES - 1, 0), [MAX_CLASSES - 1, 0], None),
    ],
)
def test_labels_are_integers_or_names_in_sorted_order(
    values: tuple[object, ...], expected: list[int], names: tuple[str, ...] | None
) -> None:
    labels = numbered(*values)
    assert labels.by_split["train"].tolist() == expected
    assert labels.by_split["train"].dtype == np.int64
    assert labels.names == names


def test_names_are_numbered_over_all_splits_together() -> None:
    labels = number_labels({"train": ["c", "a"], "test": ["b", "c"]}, lambda split, row: f"{split} {row}")
    assert {split: part.tolist() for split, part in labels.by_split.items()} == {"train": [2, 0], "test": [1, 2]}
    with pytest.raises(StraightflowError, match="0 at train 0 and 'b' at test 0"):
        number_labels({"train": [0, 1], "test": ["b", "c"]}, lambda split, row: f"{split} {row}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, -1), "-1 at row 1 of train"),
        (("0", "-12"), "-12 at row 1 of train"),
        ((0.0, 1.0), "float 0.0 at row 0 of train"),
        ((0, float("nan")), "float nan at row 1"),
        (("0", "1.0"), "1.0 at row 1"),
        (("a", "1e5"), "1e5 at row 1"),
        (("a", ".5"), r"\.5 at row 1"),
        ((0, None), "no label at row 1"),
        (("a", " "), "no label at row 1"),
        (("0", "NaN"), "no label at row 1"),
        ((0, "a"), "0 at row 0 of train and 'a' at row 1 of train"),
        ((0, MAX_CLASSES), f"{MAX_CLASSES} at row 1"),
        (("0", "9" * 5000), "9{20} at row 1"),
        ((1, 2, 3, 2), "labels 1 to 3"),
        (([0], [1]), "list"),
        (({"a": 1}, 1), "dict"),
        ((b"a", b"b"), "bytes"),
        ((decimal.Decimal(1), 0), "Decimal 1"),
    ],
)
def test_what_is_no_label_is_refused_by_place(values: tuple[object, ...], message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        numbered(*values)


def test_classes_to_tell_apart_are_two_at_least() -> None:
    require_classes(np.array([3, 3, 5]), "it")
    for labels, message in ((None, "images without labels"), (np.array([2, 2]), "a single class")):
        with pytest.raises(StraightflowError, match=f"as it needs(.|\n)*{message}"):
            require_classes(labels, "it")
