"""The common form of all image sources: one table per split, with images found but not yet decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.labels import Labels
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class ImageTable:
    """One split of a source.

    Attributes:
        num_images: Images in it.
        first_look: Rows that are quick to read, for a first check of the images.
        decode: Yields the images of rising row numbers: uint8, (channels, height, width), one after the other. Raises a
            :class:`StraightflowError` naming the first image that is missing, unreadable or not as configured.
    """

    num_images: int
    first_look: np.ndarray
    decode: Callable[[np.ndarray], Iterator[np.ndarray]]


@dataclass(frozen=True)
class ImageTables:
    """The configured splits of a source.

    Attributes:
        splits: Tables by the name of the split.
        labels: Classes of all images, where the source has them.
        files: Everything on disk that is read: images, labels, tables.
        why_unlabelled: Why it has no labels, where a person may have meant to give some; None otherwise.
    """

    splits: dict[str, ImageTable]
    labels: Labels | None
    files: tuple[Path, ...] = ()
    why_unlabelled: str | None = None


def require_exists(path: Path) -> None:
    """Raises StraightflowError if ``data.location`` does not exist or cannot be accessed."""
    try:
        path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise StraightflowError(
            expected=f"images at {path}", found="no such path" if missing else str(error), mend="correct data.location"
        ) from error


def wrong_split(wanted: str, known: list[str], what: str = "splits") -> StraightflowError:
    """The error for a split that a source does not have."""
    return StraightflowError(
        expected=f"split {wanted!r}",
        found=f"{what} {', '.join(known[:20]) or 'none'}",
        mend="set data.train_split or data.heldout_split",
    )
