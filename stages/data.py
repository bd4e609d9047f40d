"""Prepares the real images, or draws the points."""

from __future__ import annotations

from pipeline.config import Config
from pipeline.data import prepare_images
from pipeline.toys.data import prepare_points
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes data/images."""
    del arguments
    prepare = prepare_points if config.data.is_points else prepare_images
    prepare(config.data, paths.IMAGES)


if __name__ == "__main__":
    run(main)
