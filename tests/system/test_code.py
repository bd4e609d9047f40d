from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from pipeline.system.code import reached_code

Reach = Callable[[], dict[str, str]]
SUMS = '''"""Adds."""

import numpy as np

# One more than there was.
ONE = 1


def add(x: int, y: int = ONE) -> int:
    """The sum."""
    return int(np.add(x, y))
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A package of a name of its own, so that no test finds another's modules imported."""
    name = f"project_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    (folder / "maths").mkdir(parents=True)
    for package in (folder, folder / "maths"):
        (package / "__init__.py").write_text("")
    (folder / "maths/sums.py").write_text(SUMS)
    (folder / "words.py").write_text('GREETING = "hello"\n')
    (folder / "page.html").write_text("<p>")
    (folder / "other.html").write_text("<p>")
    (folder / "main.py").write_text(
        f"import json\n\n\ndef main():\n    from {name}.maths.sums import add\n\n    print(json, add(1), 'page.html')\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return folder


def reach(project: Path, *without_effect: str) -> dict[str, str]:
    return reached_code(f"{project.name}.main", packages=[project.name], without_effect=without_effect)


def test_it_holds_what_imports_reach_also_late_and_the_files_that_code_names(project: Path) -> None:
    found = reach(project)
    name = project.name
    assert list(found) == sorted([f"{name}.main", f"{name}.maths.sums", f"{name}/page.html", "numpy"])
    assert found["numpy"] == Version(importlib.metadata.version("numpy")).public


def test_what_has_no_effect_is_left_out_with_what_only_it_reaches(project: Path) -> None:
    assert list(reach(project, f"{project.name}.maths.sums")) == [f"{project.name}.main", f"{project.name}/page.html"]
    assert list(reach(project, "numpy")) == [f"{project.name}.{n}" for n in ("main", "maths.sums")] + [
        f"{project.name}/page.html"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# One more than there was.\n", ""),
        ("ONE = 1", "ONE = 1  # one"),
        ('    """The sum."""\n', '    """The sum of two numbers."""\n'),
        ('    """The sum."""\n', ""),
        ('"""Adds."""\n\n', ""),
        ("ONE = 1\n", 'ONE = 1\n"""What is added."""\n'),
        ("def add(x: int, y: int = ONE) -> int:", "def add(\n    x: int,\n    y: int = ONE,\n) -> int:"),
        ("return int(np.add(x, y))", "return (int)(np.add(x, y,))"),
    ],
)
def test_how_code_is_written_does_not_count(project: Path, old: str, new: str) -> None:
    before = reach(project)
    assert old in SUMS
    (project / "maths/sums.py").write_text(SUMS.replace(old, new))
    (project / "words.py").write_text('GREETING = "good evening"\n')
    (project / "other.html").write_text("<b>")
    assert reach(project) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("maths/sums.py", "ONE = 1", "ONE = 2", ".maths.sums"),
        ("maths/sums.py", "np.add", "np.subtract", ".maths.sums"),
        ("maths/sums.py", "y: int = ONE", "y: int", ".maths.sums"),
        ("maths/sums.py", "return int(np.add(x, y))", 'return int(np.add(x, y)) if "x" else 0', ".maths.sums"),
        ("page.html", "<p>", "<b>", "/page.html"),
    ],
)
def test_what_code_does_counts(project: Path, file: str, old: str, new: str, changed: str) -> None:
    before = reach(project)
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    after = reach(project)
    assert [name for name in after if after[name] != before[name]] == [project.name + changed]
