"""The gate before training: refuses a round's couplings or measures them, their FID among other things.

Each kind of data imports what it alone needs: loading both costs seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.manifest import MANIFEST, Manifest
from pipeline.couplings.store import CouplingStore
from pipeline.metrics.row import COUPLINGS_PREFIX, Row
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file
from stages import paths
from stages.entry import run, single_argument


def main(config: Config, arguments: list[str]) -> None:
    """Writes couplings/<round>/quality.json and, for a store that may be trained on, couplings/<round>/gate.json.

    FID is measured on as many pairs as models are measured with, if there are. What training depends on is
    gate.json, which says nothing but which store was accepted, so that measuring anew trains nothing anew.
    """
    name = single_argument(arguments, "a round")
    couplings = config.rounds[name].couplings
    store = CouplingStore(paths.couplings(name))
    if len(store) < 2:
        raise StraightflowError(expected="at least two pairs", found=str(len(store)), mend="raise num_pairs")
    runtime = open_runtime(config.compute, ONE_PROCESS)
    check = check_couplings(store, couplings, config.gate, load_sampler(paths.model(couplings.source), runtime))
    row = _points_row(config, name, store) if config.data.is_points else _couplings_row(config, name, store, runtime)
    write_json(paths.quality(name), asdict(check) | {"row": row, "source": store.manifest.source})
    write_json(paths.gate(name), {"accepted": fingerprint_file(paths.couplings(name) / MANIFEST)})


def _couplings_row(config: Config, name: str, store: CouplingStore, runtime: Runtime) -> dict[str, Any]:
    """The row of a round's couplings of images."""
    from pipeline.evaluation.store_quality import measure_store
    from stages.measuring import open_measure

    extractor, reference = open_measure(config, runtime)
    num_samples = min(len(store), config.evaluate.num_samples)
    row = Row(
        **_cell(name, store.manifest),
        features=extractor.name,
        num_samples=num_samples,
        reference=reference.split,
        seconds_per_1000=None,
        **asdict(measure_store(store, num_samples, config.evaluate, extractor, reference)),
    )
    return asdict(row)


def _points_row(config: Config, name: str, store: CouplingStore) -> dict[str, Any]:
    """The row of a round's couplings of points."""
    from pipeline.evaluation.point_sweep import draw_fresh_points, point_row
    from pipeline.toys.distributions import TOYS

    points = store.x_1(np.arange(min(len(store), config.evaluate.num_samples))).numpy()
    fresh = draw_fresh_points(TOYS[config.data.source], len(points), config.evaluate.seed)
    return asdict(point_row(points, fresh, **_cell(name, store.manifest), seconds=None))


def _cell(name: str, manifest: Manifest) -> dict[str, Any]:
    """What a row says of where its samples come from."""
    solver = manifest.solver
    return {
        "model": f"{COUPLINGS_PREFIX}{name}",
        "solver": solver.label,
        "num_steps": solver.num_steps,
        "nfe": None,
        "seed": manifest.seed,
    }


if __name__ == "__main__":
    run(main)
