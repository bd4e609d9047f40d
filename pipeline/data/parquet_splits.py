"""Which parquet file holds which split."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.data import DataConfig
from pipeline.system.errors import StraightflowError


def parquet_splits(location: Path, config: DataConfig) -> dict[str, Path]:
    """Files by split: the one file that ``location`` is, or every ``<split>.parquet`` in it.

    Raises:
        StraightflowError: If there are none, or a configured split is not among them.
    """
    if location.is_file():
        files = {config.train_split: location}
    else:
        files = {item.stem: item for item in sorted(location.glob("*.parquet"))}
    for split in (config.train_split, config.heldout_split):
        if split is not None and split not in files:
            raise StraightflowError(
                expected=f"{split}.parquet in {location}, as data.train_split and data.heldout_split say",
                found=", ".join(sorted(item.name for item in files.values())) or "no parquet files",
                mend="correct data.location or the names of the splits",
            )
    return files
