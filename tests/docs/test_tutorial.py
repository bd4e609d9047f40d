from __future__ import annotations

import json
import re
from collections.abc import Iterator
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


def test_the_notebook_holds_the_script_cell_by_cell_as_it_ran_from_top_to_bottom() -> None:
    notebook = json.loads(TUTORIAL.with_suffix(".ipynb").read_text("utf-8"))
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert cells == list(cells_of(TUTORIAL.read_text("utf-8")))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {(output["output_type"], output.get("name")) for output in outputs} == {("stream", "stdout")}
    printed = "".join("".join(output["text"]) for output in outputs)
    assert all(text in printed for text in ("velocity [5.0, 5.0]", "flow ", "round1 ", "distilled "))
    assert TUTORIAL.with_suffix(".ipynb").stat().st_size < 1_000_000


def cells_of(script: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each cell of a script in the percent format; text of Markdown cells is in comments."""
    for cell in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        title, _, text = cell.partition("\n")
        if title == " [markdown]":
            yield "markdown", re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)
        else:
            yield "code", text.strip()
