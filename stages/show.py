"""Prints the FID of every model at every step count."""

from __future__ import annotations

import csv

from pipeline.config import Config
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Reads metrics/few_step.csv."""
    del config, arguments
    with paths.FEW_STEP.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    first = rows[0]
    print(f"FID ({first['features']} features, {first['num_samples']} samples, against {first['reference']})")
    for row in rows:
        print(f"{row['model']:<20} {row['solver']:<6} {row['num_steps']:>4} steps {float(row['fid']):>10.3f}")
    print(f"table: {paths.FEW_STEP.resolve()}")


if __name__ == "__main__":
    run(main)
