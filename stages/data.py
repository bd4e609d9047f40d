"""Prepares the real images."""

from __future__ import annotations

from pipeline.config import Config
from pipeline.data import prepare_images
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes data/images."""
    del arguments
    prepare_images(config.data, paths.IMAGES)


if __name__ == "__main__":
    run(main)
