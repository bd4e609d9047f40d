"""What a published model came from, as one value for ``provenance.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of
from pipeline.report.images.results import Results
from pipeline.report.ledger import Ledger
from pipeline.report.provenance import collect_provenance
from pipeline.report.publishing.lineage import StageRecord
from pipeline.system.compute import Compute


def provenance(
    root: Path,
    config: Config,
    name: str,
    *,
    version: str,
    fingerprint: str,
    results: Results,
    ledger: Ledger,
    records: Sequence[StageRecord],
) -> dict[str, Any]:
    """Versions, hashes and compute.

    Args:
        root: The project's folder.
        config: Of the run; ``params.yaml`` holds all of it and is published beside.
        name: Of the model.
        version: Of this package.
        fingerprint: Of the model's folder, as couplings drawn from it record it.
        results: Of the run.
        ledger: Of the run.
        records: What DVC recorded of the stages that made and measured the model.
    """
    model = next(item for item in results.models if item.model == name)
    here, stages = collect_provenance(root), stages_of(config, name)
    total = ledger.cost(name)
    return {
        "model": name,
        "fingerprint": fingerprint,
        "straightflow": version,
        "published_from": {
            "git_revision": here.revision,
            "python": here.python,
            "packages": here.packages,
            "processor": here.cpu,
            "cores": here.num_cores,
            "system": here.system,
        },
        "measured_on": {"device": model.device, "precision": model.precision},
        "data": dataclasses.asdict(results.data),
        "stages": [
            {"stage": record.stage, "command": record.command, "deps": record.deps, "outs": record.outs}
            for record in records
        ],
        "compute": {
            "total": _compute(total),
            "without_pretrained_teacher": any(item.is_after_teacher for item in ledger.models if item.model == name),
            "stages": {item.stage: _compute(item.compute) for item in ledger.stages if item.stage in stages},
        },
    }


def _compute(compute: Compute | None) -> dict[str, float] | None:
    if compute is None:
        return None
    return dataclasses.asdict(compute) | {"forward_equivalents": compute.forward_equivalents}
