from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial/straight_lines.py"
PICTURES = ("straight_lines.png", "conditional_paths.png")
SMALL = {"NUM_STEPS": "60", "NUM_PAIRS": "400", "NUM_SAMPLES": "300"}


def test_the_tutorial_runs_from_a_line_to_one_step(tmp_path: Path) -> None:
    script = TUTORIAL.read_text()
    for name, value in (SMALL | {"PICTURES": f"Path({str(tmp_path)!r})"}).items():
        script, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", script, flags=re.MULTILINE)
        assert count == 1, name
    variables: dict[str, object] = {"__name__": "__main__"}
    exec(compile(script, str(TUTORIAL), "exec"), variables)
    distances, straightness = variables["distances"], variables["straightness"]
    assert isinstance(distances, dict)
    assert isinstance(straightness, dict)
    assert distances.keys() == straightness.keys() == {"flow", "round1", "distilled"}
    assert straightness["round1"] < straightness["flow"]
    assert np.isfinite([value for values in distances.values() for value in values]).all()
    for name in PICTURES:
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 1, name


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_pictures_are_small(name: str) -> None:
    assert TUTORIAL.with_name(name).stat().st_size < 200_000
