"""Which store the gate accepted: written where it passed, required where it is trained on."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.couplings.manifest import MANIFEST
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.whole_files import read_json


def write_acceptance(store: Path, gate: Path) -> None:
    """Records in the file ``gate`` that the store in the folder ``store`` may be trained on."""
    write_json(gate, _acceptance(store))


def require_acceptance(store: Path, gate: Path) -> None:
    """Raises StraightflowError unless ``gate`` was written for the store in ``store`` as it is now."""
    expected = _acceptance(store)
    try:
        found = read_json(gate)
    except FileNotFoundError:
        problem = "no such file"
    except ValueError as error:
        problem = f"no JSON: {error}"
    else:
        if found == expected:
            return
        problem = f"another store, or another state of it: {json.dumps(found)[:100]}"
    raise StraightflowError(
        expected=f"the gate's acceptance of {store} in {gate}: {json.dumps(expected)}",
        found=problem,
        mend="run `dvc repro`, which calls the gate (assess) before it trains",
    )


def _acceptance(store: Path) -> dict[str, str]:
    """The manifest holds the hash of every shard, so its own hash stands for the whole store."""
    return {"accepted": fingerprint_file(store / MANIFEST)}
