"""The gate before training: refuses couplings, or measures them."""

from __future__ import annotations

import time
from dataclasses import asdict

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config, rounds_before
from pipeline.couplings.acceptance import write_acceptance
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.drift import require_little_drift
from pipeline.evaluation.measure import open_measure
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.typed_content import require_possible
from stages import paths
from stages.entry import run, single_argument


def main(config: Config, arguments: list[str]) -> None:
    """Writes couplings/<name>/quality.json and, for a store that may be trained on, couplings/<name>/gate.json.

    Training depends on gate.json, which holds only which store was accepted. Measuring again therefore does not cause
    training again.
    """
    name = single_argument(arguments, "couplings", config.couplings)
    couplings = config.couplings[name]
    store = CouplingStore(paths.couplings(name))
    if len(store) < 2:
        raise StraightflowError(expected="at least two pairs", found=str(len(store)), mend="raise num_pairs")
    runtime = open_runtime(config.compute, ONE_PROCESS)
    source = load_sampler(paths.model(couplings.source), runtime)
    check = require_possible(check_couplings(store, couplings, config.gate, source), f"the couplings of {name}")
    decoded_before, began = source.decoded, time.monotonic()
    rows = open_measure(config, runtime, paths.measuring()).couplings_rows(name, store, source)
    content = asdict(check) | {"rows": [asdict(row) for row in rows], "source": store.manifest.source}
    if source.space.is_decoded:
        content |= {"decoding": asdict(source.decoding(decoded_before, time.monotonic() - began))}
    write_json(paths.quality(name), content)
    before = rounds_before(config).get(name)
    if before is not None:
        require_little_drift(name, rows, paths.quality(before), config.gate)
    write_acceptance(store.folder, paths.gate(name))


if __name__ == "__main__":
    run(main)
