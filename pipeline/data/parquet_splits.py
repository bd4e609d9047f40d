"""Which parquet file holds which split."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.data import DataConfig
from pipeline.system.errors import StraightflowError


def parquet_splits(location: Path, config: DataConfig) -> dict[str, Path]:
    """Files of the configured splits: ``location`` itself if it is a file, else ``<split>.parquet`` in it.

    Raises:
        StraightflowError: If one of them is not there.
    """
    if location.is_file():
        files = {config.train_split: location}
    else:
        visible = (item for item in sorted(location.iterdir()) if item.is_file() and not item.name.startswith("."))
        files = {item.stem: item for item in visible if item.suffix.lower() == ".parquet"}
    wanted = [split for split in (config.train_split, config.heldout_split) if split is not None]
    for split in wanted:
        if split not in files:
            raise StraightflowError(
                expected=f"{split}.parquet in {location}, as data.train_split and data.heldout_split say",
                found=", ".join(sorted(item.name for item in files.values())) or "no parquet files",
                mend="correct data.location or the names of the splits",
            )
    return {split: files[split] for split in wanted}
