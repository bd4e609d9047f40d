"""Prepares the real images, or draws the points."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.data.prepare import prepare_data
from stages import paths
from stages.entry import run
from stages.recorded import recorded_commit


def main(config: Config, arguments: list[str]) -> None:
    """Writes data/images."""
    del arguments
    data = config.data
    commit = None
    if data.source == "hub":
        commit = recorded_commit(paths.DATA_INPUT, {"source": data.source, "location": data.location})
    prepare_data(data, paths.IMAGES, commit)


if __name__ == "__main__":
    run(main)
