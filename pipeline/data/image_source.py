"""The configured images, found and split but not yet decoded; ``check`` sees the same ones as the data stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.data import DataConfig, split_sizes
from pipeline.data.image_tables import ImageTable, ImageTables
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class FoundImages:
    """The training or the held-out images.

    Attributes:
        table: Where they are.
        rows: Which of its rows they are, rising.
        labels: Their classes, int64 from 0, (len(rows),), or None.
    """

    table: ImageTable
    rows: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.rows)

    def decode(self) -> Iterator[np.ndarray]:
        """Every image, uint8, (channels, height, width), in the order of ``rows``."""
        return self.table.decode(self.rows)


@dataclass(frozen=True)
class ImageSource:
    """All configured images.

    Attributes:
        tables: The splits of the source, as they are named there.
        train: Images to train on.
        heldout: Images held out.
    """

    tables: ImageTables
    train: FoundImages
    heldout: FoundImages

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, where the source gives names."""
        return None if self.tables.labels is None else self.tables.labels.names

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything on disk that is read."""
        return self.tables.files


def find_images(config: DataConfig, revision: str | None = None) -> ImageSource:
    """Finds the images, reads their labels and splits them, without decoding any.

    Args:
        config: Where they come from.
        revision: Commit of a data set on the hub; None for other sources.

    Raises:
        StraightflowError: If anything is missing or ambiguous, or if a split has fewer than two images.
    """
    tables = _tables(config, revision)
    heldout_split = config.train_split if config.heldout_split is None else config.heldout_split
    num_train, num_heldout = (tables.splits[split].num_images for split in (config.train_split, heldout_split))
    train, heldout = np.arange(num_train), np.arange(num_heldout)
    if config.heldout_split is None:
        order = np.random.Generator(np.random.Philox(config.seed)).permutation(num_train)
        _, first = split_sizes(num_train, config.heldout_share)
        train, heldout = np.sort(order[first:]), np.sort(order[:first])
    require_two_each(len(train), len(heldout), config)
    return ImageSource(tables, _found(tables, config.train_split, train), _found(tables, heldout_split, heldout))


def require_two_each(num_train: int, num_heldout: int, config: DataConfig) -> None:
    """Raises StraightflowError if a split has fewer than two images."""
    if min(num_train, num_heldout) < 2:
        share = f" with heldout_share {config.heldout_share}" if config.heldout_split is None else ""
        raise StraightflowError(
            expected="at least two images in each split",
            found=f"{num_train} to train on and {num_heldout} held out{share}",
            mend="give more images or another data.heldout_share",
        )


def _found(tables: ImageTables, split: str, rows: np.ndarray) -> FoundImages:
    labels = None if tables.labels is None else tables.labels.by_split[split][rows]
    return FoundImages(tables.splits[split], rows, labels)


def _tables(config: DataConfig, revision: str | None) -> ImageTables:
    # Imported only for the configured source, as importing all of them takes seconds.
    if config.source == "digits":
        from pipeline.data.digits import digits_tables

        return digits_tables(config)
    if config.source == "folder":
        from pipeline.data.folder_images import folder_tables

        return folder_tables(config)
    if config.source == "parquet":
        from pipeline.data.parquet_images import parquet_tables

        return parquet_tables(config)
    from pipeline.data.hub_images import hub_tables

    return hub_tables(config, revision)
