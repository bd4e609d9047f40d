"""Validates the whole configuration and the images' source before anything is trained."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Config
from pipeline.errors import StraightflowError
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """The configuration is validated by being read; here its references to the file system are."""
    del arguments
    local_data = config.data.source in ("folder", "parquet")
    if local_data and not Path(str(config.data.location)).exists():
        raise StraightflowError(
            expected=f"images at {config.data.location}", found="no such path", mend="correct data.location"
        )
    print("configuration: valid")


if __name__ == "__main__":
    run(main)
