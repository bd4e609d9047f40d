"""Collects every measured cell into one table."""

from __future__ import annotations

import csv
import json
from dataclasses import fields

from pipeline.atomic import atomic_file
from pipeline.config import Config
from pipeline.evaluation import Row
from stages import paths
from stages.entry import run

COLUMNS = tuple(field.name for field in fields(Row))


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/few_step.csv."""
    del arguments
    rows = [json.loads(paths.quality(name).read_text())["row"] for name in config.rounds]
    for name in config.evaluate.models:
        rows += json.loads(paths.evaluation(name).read_text())["rows"]
    with atomic_file(paths.FEW_STEP) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run(main)
