"""What is known of a data set on the hub before its images are downloaded: from its card and its parquet footers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import datasets
import pyarrow
import pyarrow.parquet
from datasets.utils.file_utils import xopen

from pipeline.config.data import DataConfig, split_sizes
from pipeline.data.columns import image_column, label_column
from pipeline.data.hub_images import is_whole, loading, open_builder, schema_of, split_origin
from pipeline.data.image_source import require_two_each
from pipeline.data.image_tables import wrong_split

MOST_FOOTERS = 16
"""Files whose footers are read to count rows; each takes a request or two over the network."""


@dataclass(frozen=True)
class HubMetadata:
    """What can be told of the configured images.

    Attributes:
        split_sizes: Images to train on and held out; None if only reading them all would tell.
        num_classes: Classes of the labels; 0 without labels, None if only reading them would tell.
    """

    split_sizes: tuple[int, int] | None
    num_classes: int | None


def read_metadata(config: DataConfig, revision: str) -> HubMetadata:
    """Judges splits, columns and sizes of a commit by the functions that judge them when the images are read.

    Raises:
        StraightflowError: If the data set cannot be had, or has not the configured splits and columns, or too few
            images.
    """
    builder = open_builder(config, revision)
    splits = [split for split in (config.train_split, config.heldout_split) if split is not None]
    files = builder.config.data_files or {}
    known = list(map(str, builder.info.splits or files))
    for split in splits:
        if known and is_whole(split) and split not in known:
            raise wrong_split(split, known)
    stated = builder.info.splits or {}
    counts = {split: stated[split].num_examples for split in splits if split in stated}
    with loading(str(config.location)):
        footers = {split: _footers(files.get(split, ()), 1 if counts else MOST_FOOTERS) for split in splits}
        features = {split: builder.info.features or _features(footers[split]) for split in splits}
    for split in splits:
        if split not in counts and 0 < len(files.get(split, ())) == len(footers[split]):
            counts[split] = sum(footer.num_rows for footer in footers[split])
    return HubMetadata(_split_sizes(counts, config), _judge_columns(features, config))


def _judge_columns(features: Mapping[str, datasets.Features | None], config: DataConfig) -> int | None:
    """Number of classes, as :class:`HubMetadata` has it, of splits whose columns are those that the reader needs."""
    known = {split: found for split, found in features.items() if found is not None}
    schemas = {split_origin(split, config): schema_of(found) for split, found in known.items()}
    for origin, schema in schemas.items():
        image_column(schema, origin, config)
    if len(known) < len(features):
        return None
    column = label_column(schemas, config)
    if column is None:
        return 0
    kinds = [found[column] for found in known.values()]
    return kinds[0].num_classes if isinstance(kinds[0], datasets.ClassLabel) else None


def _split_sizes(counts: Mapping[str, int], config: DataConfig) -> tuple[int, int] | None:
    """Numbers of images to train on and held out, of rows by split; None if a split is not counted."""
    heldout_split = config.train_split if config.heldout_split is None else config.heldout_split
    if not {config.train_split, heldout_split} <= counts.keys():
        return None
    found = counts[config.train_split], counts[heldout_split]
    if config.heldout_split is None:
        found = split_sizes(counts[config.train_split], config.heldout_share)
    require_two_each(*found, config)
    return found


def _footers(files: Sequence[str], most: int) -> list[pyarrow.parquet.FileMetaData]:
    """Footers of the first ``most`` files, read alone; none if they are not parquet."""
    found = []
    for file in files[:most]:
        if not str(file).endswith(".parquet"):
            return []
        with xopen(str(file), "rb") as stream:
            found.append(pyarrow.parquet.read_metadata(stream))
    return found


def _features(footers: list[pyarrow.parquet.FileMetaData]) -> datasets.Features | None:
    return datasets.Features.from_arrow_schema(footers[0].schema.to_arrow_schema()) if footers else None
