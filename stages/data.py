"""Prepares the real images, or draws the points."""

from __future__ import annotations

from pipeline.config.graph import Config
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes data/images. Each kind of data imports what it alone needs: loading both costs seconds."""
    del arguments
    if config.data.is_points:
        from pipeline.data.points import prepare_points

        prepare_points(config.data, paths.IMAGES)
    else:
        from pipeline.data.images import prepare_images

        prepare_images(config.data, paths.IMAGES)


if __name__ == "__main__":
    run(main)
