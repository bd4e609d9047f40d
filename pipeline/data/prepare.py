"""The data set of a run, prepared once: real images read from their source, or points drawn."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.data import DataConfig
from pipeline.data.space import POINTS, space_of


def prepare_data(config: DataConfig, folder: Path, revision: str | None = None) -> None:
    """Writes both splits to ``folder``, atomically; :func:`pipeline.data.sample_set.open_samples` opens them.

    Args:
        config: What is read or drawn.
        folder: Where it goes.
        revision: Commit of a data set on the hub; None for other sources.

    Raises:
        StraightflowError: If images cannot be read, or are not as configured.
    """
    # Imported only for the configured kind, as importing both takes seconds.
    if space_of(config) is POINTS:
        from pipeline.data.points import prepare_points

        prepare_points(config, folder)
    else:
        from pipeline.data.images import prepare_images

        prepare_images(config, folder, revision)
