from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.couplings.acceptance import require_acceptance, write_acceptance
from pipeline.system.errors import StraightflowError


def test_a_store_is_trained_on_as_the_gate_saw_it_and_not_otherwise(store: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate.json"
    with pytest.raises(StraightflowError, match="no such file"):
        require_acceptance(store, gate)
    write_acceptance(store, gate)
    require_acceptance(store, gate)
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | {"seed": 8}))
    with pytest.raises(StraightflowError, match="another store, or another state of it"):
        require_acceptance(store, gate)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"accepted": null}', '{"accepted": "0"}'])
def test_a_gate_that_says_anything_else_accepts_nothing(store: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "gate.json").write_text(content)
    with pytest.raises(StraightflowError, match=r"the gate's acceptance of(.|\n)*dvc repro"):
        require_acceptance(store, tmp_path / "gate.json")
