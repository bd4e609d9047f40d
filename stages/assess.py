"""Measures a round's couplings: their FID and transport cost, kept beside the store."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from pipeline.atomic import write_json
from pipeline.compute import open_runtime
from pipeline.config import Config
from pipeline.couplings.store import CouplingStore
from pipeline.errors import StraightflowError
from pipeline.metrics.features import extract_all
from pipeline.metrics.frechet import frechet_distance, statistics_of
from pipeline.metrics.row import COUPLINGS_PREFIX, Row
from pipeline.pixels import to_uint8
from stages import paths
from stages.entry import run, single_argument
from stages.measuring import open_measure


def main(config: Config, arguments: list[str]) -> None:
    """Writes couplings/<round>/quality.json, on as many pairs as models are measured with, if there are."""
    name = single_argument(arguments, "a round")
    store = CouplingStore(paths.couplings(name))
    if len(store) < 2:
        raise StraightflowError(expected="at least two pairs", found=str(len(store)), mend="raise num_pairs")
    extract, reference = open_measure(config, open_runtime(config.compute, config.launch).device)
    pairs = store.load(np.arange(min(len(store), config.evaluate.num_samples)))
    features = extract_all(extract, to_uint8(pairs["x_1"]).numpy(), config.features.batch_size)
    manifest = store.manifest
    row = Row(
        model=f"{COUPLINGS_PREFIX}{name}",
        solver=str(manifest.solver["name"]),
        num_steps=manifest.solver["num_steps"],
        nfe=None,
        fid=frechet_distance(statistics_of(features), reference),
        features=config.features.name,
        num_samples=len(features),
        reference=config.features.reference,
        seed=manifest.seed,
        seconds_per_1000=None,
    )
    quality = {
        "row": asdict(row),
        "transport_cost_per_dim": float((pairs["x_1"] - pairs["x_0"]).square().mean()),
        "clipped_fraction": sum(shard.clipped_fraction * shard.num_pairs for shard in manifest.shards) / len(store),
        "num_pairs": len(store),
        "source": manifest.source,
    }
    write_json(paths.quality(name), quality)


if __name__ == "__main__":
    run(main)
