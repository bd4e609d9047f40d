"""Prepares the real images, or draws the points."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.data.prepare import prepare_data
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes data/images."""
    del arguments
    prepare_data(config.data, paths.IMAGES)


if __name__ == "__main__":
    run(main)
