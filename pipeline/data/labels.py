"""Labels as a source gives them, checked and numbered: integers from 0, or names in sorted order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.system.errors import StraightflowError

MAX_CLASSES = 65_536
"""More classes than any classifier or class-conditional model has: a larger label must mean something else."""

AS_NUMBERS_OR_NAMES = "write labels as integers or as names"

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Labels:
    """The class of every image of every split.

    Attributes:
        by_split: int64 from 0, (num,), by the name of the split.
        names: Name of each class where the source gave names; None where it gave integers.
    """

    by_split: Mapping[str, np.ndarray]
    names: tuple[str, ...] | None


def number_labels(values: Mapping[str, Sequence[object]], where: Callable[[str, int], str]) -> Labels:
    """Keeps integers as they are; numbers names, among them booleans, by their sorted order over all splits.

    Text that holds only integers counts as integers, since a CSV file has nothing but text.

    Args:
        values: Labels as read, by split.
        where: Names an image by its split and row.

    Raises:
        StraightflowError: If a label is missing, negative, not below :data:`MAX_CLASSES`, or neither an integer nor a
            name; if integers and names are mixed; or if integers count from 1.
    """
    read = {
        split: [_read(value, where, split, row) for row, value in enumerate(column)] for split, column in values.items()
    }
    first: dict[type, str] = {}
    for split, labels in read.items():
        for row, label in enumerate(labels):
            if type(label) not in first:
                first[type(label)] = f"{label!r} at {where(split, row)}"
    if len(first) > 1:
        raise StraightflowError(
            expected="labels that are all integers from 0, or all names",
            found=" and ".join(first.values()),
            mend="write all labels in one way",
        )
    if str in first:
        return number_names({split: [str(label) for label in labels] for split, labels in read.items()})
    numbers = {split: np.asarray(labels, dtype=np.int64) for split, labels in read.items()}
    _require_count_from_zero(numbers)
    return Labels(numbers, None)


def number_names(values: Mapping[str, Sequence[str]]) -> Labels:
    """Numbers names by their place in the sorted order over all splits."""
    names = tuple(sorted({name for column in values.values() for name in column}))
    places = {name: place for place, name in enumerate(names)}
    numbers = {split: np.asarray([places[name] for name in column], dtype=np.int64) for split, column in values.items()}
    return Labels(numbers, names)


def has_classes(labels: np.ndarray | None) -> bool:
    """Whether there are labels of two classes or more."""
    return labels is not None and len(np.unique(labels)) >= 2


def require_classes(labels: np.ndarray | None, needed_by: str) -> np.ndarray:
    """Returns labels of at least two classes, for models that must tell classes apart.

    Args:
        labels: Classes of the training images, (num,), or None.
        needed_by: What needs them, for the message.

    Raises:
        StraightflowError: If there are fewer than two classes.
    """
    if labels is None or not has_classes(labels):
        raise StraightflowError(
            expected=f"labels of at least two classes, as {needed_by} needs",
            found="images without labels" if labels is None else "a single class",
            mend="give one subfolder per class, a metadata.csv with file_name and label, or data.label_column; or set "
            "features.name: auto or rotation, teacher.label_dropout: null, couplings to classes: uniform, or "
            "evaluate.per_class: false, which need none",
        )
    return labels


def require_every_class(labels: np.ndarray | None, needed_by: str) -> int:
    """Number of classes, each of which has an image: a model conditioned on one without any would never learn it.

    Arguments as for :func:`require_classes`.

    Raises:
        StraightflowError: For the same labels, or if a class below the largest has no image.
    """
    present = np.unique(require_classes(labels, needed_by))
    num_classes = int(present[-1]) + 1
    if len(present) < num_classes:
        absent = np.setdiff1d(np.arange(num_classes), present)
        raise StraightflowError(
            expected=f"images of each of the classes 0 to {num_classes - 1} to train on, as {needed_by} needs",
            found=f"none of class {absent[0]}" + (f", nor of {len(absent) - 1} others" if len(absent) > 1 else ""),
            mend="number the classes without gaps, or name them: names are numbered so",
        )
    return num_classes


def _read(value: object, where: Callable[[str, int], str], split: str, row: int) -> int | str:
    """One label as an integer or a name."""
    text = str(value).strip() if isinstance(value, str | bool) else None
    if value is None or (text is not None and text.lower() in ("", "nan")):
        raise _wrong(f"no label at {where(split, row)}", "give every image a label")
    if text is None and not isinstance(value, int):
        raise _wrong(f"{type(value).__name__} {str(value)[:80]} at {where(split, row)}", AS_NUMBERS_OR_NAMES)
    text = text if text is not None else str(value)
    if _INTEGER.fullmatch(text):
        return _class(text, where(split, row))
    if _NUMBER.fullmatch(text):
        raise _wrong(f"{text[:80]} at {where(split, row)}", AS_NUMBERS_OR_NAMES)
    return text


def _class(digits: str, where: str) -> int:
    """The class that a whole number names."""
    if digits.startswith("-") and digits.strip("-0"):
        raise _wrong(f"{digits[:20]} at {where}", "count classes from 0; leave out images without a class")
    if len(digits.lstrip("+-0")) > len(str(MAX_CLASSES)) or int(digits) >= MAX_CLASSES:
        raise _wrong(f"{digits[:20]} at {where}", "name another column in data.label_column")
    return int(digits)


def _require_count_from_zero(numbers: Mapping[str, np.ndarray]) -> None:
    classes = np.unique(np.concatenate(list(numbers.values())))
    if len(classes) > 1 and np.array_equal(classes, np.arange(1, len(classes) + 1)):
        raise _wrong(f"labels 1 to {classes[-1]}", "subtract 1 from every label")


def _wrong(found: str, mend: str) -> StraightflowError:
    return StraightflowError(
        expected=f"labels that are integers from 0 and below {MAX_CLASSES:,}, or names", found=found, mend=mend
    )
