"""A folder of pictures: its splits, the classes of its images, and how they are decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.config.data import DataConfig
from pipeline.data.folder_listing import list_folder
from pipeline.data.folder_metadata import FolderMetadata, read_metadata
from pipeline.data.image_format import decode_image
from pipeline.data.image_tables import ImageTable, ImageTables, require_exists, wrong_split
from pipeline.data.labels import Labels, number_labels, number_names
from pipeline.data.order import evenly_spaced
from pipeline.system.errors import StraightflowError, nearest
from pipeline.system.whole_files import read_bytes

LOOKED_AT = 256
SPLIT_NAMES = frozenset(
    ("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "heldout", "holdout")
)
IMAGE_COLUMN = "image"
LABEL_COLUMN = "label"

Splits = Mapping[str, Sequence[PurePosixPath]]


def folder_tables(config: DataConfig) -> ImageTables:
    """Finds the images of a folder.

    All images below it are one set, whatever their folders are called. Only if ``data.heldout_split`` names a
    subfolder, or ``data.train_split`` one other than ``train``, is each split the subfolder of its name.

    Classes are the metadata column ``data.label_column``, or else the names of the first folders that differ between
    images. Those are read as integers if all are integers and 0 is among them. If some images are in no such folder,
    there are no labels, and the tables say why.

    Raises:
        StraightflowError: If the folder, a split or a label is missing, or what it holds is ambiguous.
    """
    folder = Path(str(config.location))
    require_exists(folder)
    if not folder.is_dir():
        raise StraightflowError(
            expected=f"a folder of images at {folder}", found="a file", mend="correct data.location"
        )
    if config.image_column not in (None, IMAGE_COLUMN):
        raise StraightflowError(
            expected="no data.image_column, as a folder has files",
            found=repr(config.image_column),
            mend="set data.image_column: null",
        )
    listing = list_folder(folder)
    if not listing.images:
        raise StraightflowError(
            expected=f"image files in {folder} or in one subfolder per label",
            found="none",
            mend="correct data.location",
        )
    splits = _splits(listing.images, folder, config)
    metadata = read_metadata(folder, listing)
    labels = _labels(splits, metadata, folder, config)
    tables = {
        split: ImageTable(len(images), evenly_spaced(len(images), LOOKED_AT), _decoder(folder, images, config))
        for split, images in splits.items()
    }
    files = tuple(folder / item for item in (*listing.images, *listing.metadata))
    return ImageTables(tables, labels, files, None if labels is not None else _why_unlabelled(splits, metadata, config))


def _has_split_folders(config: DataConfig) -> bool:
    """Whether the configuration names subfolders as splits; its default does not."""
    return config.heldout_split is not None or config.train_split != DataConfig.model_fields["train_split"].default


def _splits(images: Sequence[PurePosixPath], folder: Path, config: DataConfig) -> Splits:
    tops = sorted({image.parts[0] for image in images if len(image.parts) > 1})
    if not _has_split_folders(config):
        if len(tops) > 1 and all(name.lower() in SPLIT_NAMES for name in tops):
            raise StraightflowError(
                expected=f"one set of images in {folder}, or data.heldout_split",
                found=f"subfolders {', '.join(tops)}",
                mend=f"set data.train_split and data.heldout_split to two of them, or data.location to {folder}/NAME",
            )
        return {config.train_split: images}
    wanted = [split for split in (config.train_split, config.heldout_split) if split is not None]
    for split in wanted:
        if split not in tops:
            raise wrong_split(split, tops, f"subfolders with images in {folder}:")
    return {split: [image for image in images if image.parts[0] == split and len(image.parts) > 1] for split in wanted}


def _labels(splits: Splits, metadata: FolderMetadata | None, folder: Path, config: DataConfig) -> Labels | None:
    column = config.label_column or LABEL_COLUMN
    if metadata is not None and column in metadata.columns:
        values = {split: [metadata.rows[image].get(column) for image in images] for split, images in splits.items()}
        return number_labels(values, lambda split, row: str(folder / splits[split][row]))
    labels = _folder_labels(splits, int(_has_split_folders(config)))
    if config.label_column is not None and (labels is None or column != LABEL_COLUMN):
        known = metadata.columns if metadata is not None else ()
        raise StraightflowError(
            expected=f"labels at {folder}, as data.label_column says",
            found=f"{column!r}{nearest(column, known)}",
            mend="name a column of its metadata.csv, or give one subfolder per class and set data.label_column: null",
        )
    return labels


def _folder_labels(splits: Splits, depth: int) -> Labels | None:
    """Classes by the first folders that differ between images, ``depth`` folders below the location or deeper."""
    folders = {split: [image.parent.parts[depth:] for image in images] for split, images in splits.items()}
    together = [parts for parts_of_split in folders.values() for parts in parts_of_split]
    common = _common_depth(together)
    if min(map(len, together)) == common:
        return None
    names = {split: [parts[common] for parts in parts_of_split] for split, parts_of_split in folders.items()}
    distinct = {parts[common] for parts in together}
    if "0" in distinct and all(name.isascii() and name.isdecimal() for name in distinct):
        return number_labels(names, lambda split, row: str(splits[split][row]))
    return number_names(names)


def _why_unlabelled(splits: Splits, metadata: FolderMetadata | None, config: DataConfig) -> str | None:
    """Why there are no classes, though there are folders or a table that could be meant as such; None without any."""
    if metadata is not None:
        return f"the table of images has no column {config.label_column or LABEL_COLUMN!r}"
    together = sorted((image for images in splits.values() for image in images), key=lambda image: len(image.parts))
    if len(together[0].parts) < len(together[-1].parts):
        return f"{str(together[0])!r} is beside the folders that others are in"
    return None


def _common_depth(folders: Sequence[tuple[str, ...]]) -> int:
    """How many leading parts all folders share."""
    first, last = min(folders), max(folders)  # what these two share, all between them share
    return next(
        (depth for depth, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(last)),
    )


def _decoder(
    folder: Path, images: Sequence[PurePosixPath], config: DataConfig
) -> Callable[[np.ndarray], Iterator[np.ndarray]]:
    def decode(rows: np.ndarray) -> Iterator[np.ndarray]:
        for row in rows:
            path = folder / images[row]
            yield decode_image(_read(path), config, str(path))

    return decode


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise StraightflowError(
            expected=f"an image that can be read at {path}",
            found=error.strerror or str(error),
            mend="see that it is there and that you may read it",
        ) from error
